import { z } from "zod";
import { version } from "../src/index.ts";
import { chatRequest, completionRequest } from "./schema.ts";

/** What `/openapi.json` shows: request bodies as they are checked. */
export function openApi(): object {
  const error = {
    description: "What is wrong, and with which field.",
    content: json({
      type: "object",
      required: ["error"],
      properties: {
        error: {
          type: "object",
          required: ["message", "type", "param", "code"],
          properties: {
            message: { type: "string" },
            type: { type: "string" },
            param: { type: ["string", "null"] },
            code: { type: ["string", "null"] },
          },
        },
      },
    }),
  };
  const errors = { "4XX": error, "5XX": error };
  const post = (summary: string, schema: z.ZodType, object: string): object => ({
    post: {
      summary,
      requestBody: { required: true, content: json(z.toJSONSchema(schema, { io: "input" })) },
      responses: {
        200: {
          description: `A ${object} object as OpenAI's; with stream, server-sent events.`,
          content: { ...json({ type: "object" }), "text/event-stream": { schema: { type: "string" } } },
        },
        ...errors,
      },
    },
  });
  const get = (summary: string, type = "application/json"): object => ({
    get: {
      summary,
      responses: { 200: { description: summary, content: { [type]: { schema: {} } } }, ...errors },
    },
  });
  return {
    openapi: "3.1.0",
    info: { title: "LLaVA server", version, description: "OpenAI's protocol; see docs/server.md." },
    paths: {
      "/v1/chat/completions": post("Answers a conversation with pictures.", chatRequest, "chat.completion"),
      "/v1/completions": post("Continues a text.", completionRequest, "text_completion"),
      "/v1/models": get("The models that are served."),
      "/v1/models/{model}": {
        parameters: [{ name: "model", in: "path", required: true, schema: { type: "string" } }],
        ...get("One of the models that are served."),
      },
      "/health": get("200 when the server is ready, else 503."),
      "/metrics": get("Figures for Prometheus.", "text/plain"),
    },
    components: { securitySchemes: { key: { type: "http", scheme: "bearer" } } },
    security: [{}, { key: [] }],
  };
}

function json(schema: object): object {
  return { "application/json": { schema } };
}
