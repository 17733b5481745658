import { Hono } from "hono";
import { cors } from "hono/cors";
import { ApiError, asApiError } from "./errors.ts";
import { checkHost, checkKey } from "./guards.ts";
import { openApi } from "./openapi.ts";
import { PAGE_PATHS, pageFile } from "./page_files.ts";
import { RequestRecord } from "./record.ts";
import { chat } from "./routes/chat.ts";
import { completions } from "./routes/completions.ts";
import type { Service } from "./service.ts";

export interface AppOptions {
  /** Asked for under /v1 and /metrics. */
  apiKey?: string;
  /** Pages of these origins may ask from a browser. */
  corsOrigins?: readonly string[];
  /** The server is for its own machine. */
  loopbackOnly?: boolean;
  /** Where the chat page's files lie. */
  page?: URL;
}

type Env = { Variables: { record: RequestRecord } };

const POSTED: readonly string[] = ["/v1/chat/completions", "/v1/completions"];
const PATHS: readonly string[] = [
  ...POSTED,
  ...["/v1/models", "/health", "/metrics", "/openapi.json", "/page.json"],
  ...PAGE_PATHS,
];

/** The server as a function from Request to Response: `app.fetch`. */
export function createApp(service: Service, options: AppOptions = {}): Hono<Env> {
  const app = new Hono<Env>();
  const { apiKey, corsOrigins = [], page = new URL("./page/", import.meta.url) } = options;
  app.use(async (c, next) => {
    const { path, method } = c.req;
    const record = new RequestRecord(service, method.slice(0, 10), PATHS.includes(path) ? path : "other");
    c.set("record", record);
    await next();
    // Not `c.header`, which makes another response.
    c.res.headers.set("X-Request-Id", record.id);
    if (!record.streaming) record.finish(c.res.status);
  });
  if (options.loopbackOnly) {
    app.use(async (c, next) => {
      checkHost(c.req.raw);
      await next();
    });
  }
  if (corsOrigins.length > 0) app.use("/v1/*", cors({ origin: [...corsOrigins] }));
  if (apiKey !== undefined) {
    for (const path of ["/v1/*", "/metrics"]) {
      app.use(path, async (c, next) => {
        checkKey(c.req.raw, apiKey);
        await next();
      });
    }
  }
  addRoutes(app, service, page);
  app.notFound(() => refused(404, "There is nothing at this address.", "not_found"));
  app.onError((error, c) => {
    const shown = asApiError(error);
    c.get("record").failed(shown, error);
    return shown.toResponse();
  });
  return app;
}

function addRoutes(app: Hono<Env>, service: Service, page: URL): void {
  app.post("/v1/chat/completions", (c) => chat(service, c.req.raw, c.get("record")));
  app.post("/v1/completions", (c) => completions(service, c.req.raw, c.get("record")));
  app.get("/v1/models", (c) =>
    c.json({ object: "list", data: service.pool.ids.map((id) => modelObject(id)) }),
  );
  app.get("/v1/models/:id{.+}", (c) => c.json(modelObject(service.pool.idOf(c.req.param("id")))));
  app.get("/health", (c) => c.json(health(service), service.state === "ok" ? 200 : 503));
  // For the page: a browser would call an answer of 503, while the model loads, an error.
  app.get("/page.json", (c) => c.json(health(service)));
  app.get("/metrics", async () => {
    const { registry } = service.metrics;
    return new Response(await registry.metrics(), { headers: { "Content-Type": registry.contentType } });
  });
  app.get("/openapi.json", (c) => c.json(openApi()));
  for (const path of PAGE_PATHS) app.get(path, () => pageFile(path, page));
  for (const path of PATHS) {
    const Allow = POSTED.includes(path) ? "POST" : "GET, HEAD";
    app.all(path, (c) =>
      refused(405, `${c.req.method.slice(0, 10)} is not answered here.`, "method_not_allowed", { Allow }),
    );
  }
}

const STARTED = Math.floor(Date.now() / 1000);

function modelObject(id: string): object {
  return { id, object: "model", created: STARTED, owned_by: "llava" };
}

/** Also what the chat page shows. */
function health(service: Service): object {
  const models = service.pool.ids.map((id) => {
    const resident = service.pool.residents.find((other) => other.id === id);
    return {
      id,
      loaded: resident !== undefined,
      device: resident?.model.device,
      dtype: resident?.model.dtype,
    };
  });
  return { status: service.state, models };
}

function refused(status: number, message: string, code: string, headers?: Record<string, string>): Response {
  return new ApiError(status, message, { code, headers }).toResponse();
}
