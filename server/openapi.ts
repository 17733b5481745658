import { z } from "zod";
import { version } from "../src/index.ts";
import {
  chatChunk,
  chatCompletion,
  errorReply,
  healthReply,
  modelList,
  modelReply,
  textChunk,
  textCompletion,
} from "./reply_schema.ts";
import { chatRequest, completionRequest } from "./schema.ts";

/** What `/openapi.json` shows: request bodies as they are checked, and replies. */
export function openApi(): object {
  const error = { description: "What is wrong, and with which field.", content: json(shown(errorReply)) };
  const errors = { "4XX": error, "5XX": error };
  const post = (summary: string, request: z.ZodType, whole: z.ZodType, chunk: z.ZodType): object => ({
    post: {
      summary,
      requestBody: { required: true, content: json(z.toJSONSchema(request, { io: "input" })) },
      responses: {
        200: {
          description:
            "The answer; with stream, server-sent events, whose data are chunks as x-chunk says, then [DONE].",
          content: {
            ...json(shown(whole)),
            "text/event-stream": { schema: { type: "string" }, "x-chunk": shown(chunk) },
          },
        },
        ...errors,
      },
    },
  });
  const get = (summary: string, content: object, more: object = {}): object => ({
    get: { summary, responses: { 200: { description: summary, content }, ...more, ...errors } },
  });
  const notReady = {
    503: { description: "It is not ready, or not any more.", content: json(shown(healthReply)) },
  };
  return {
    openapi: "3.1.0",
    info: { title: "LLaVA server", version, description: "OpenAI's protocol; see docs/server.md." },
    paths: {
      "/v1/chat/completions": post(
        "Answers a conversation with pictures.",
        chatRequest,
        chatCompletion,
        chatChunk,
      ),
      "/v1/completions": post("Continues a text.", completionRequest, textCompletion, textChunk),
      "/v1/models": get("The models that are served.", json(shown(modelList))),
      "/v1/models/{model}": {
        parameters: [{ name: "model", in: "path", required: true, schema: { type: "string" } }],
        ...get("One of the models that are served.", json(shown(modelReply))),
      },
      "/health": get("Whether the server is ready.", json(shown(healthReply)), notReady),
      "/metrics": get("Figures for Prometheus.", { "text/plain": { schema: { type: "string" } } }),
    },
    components: { securitySchemes: { key: { type: "http", scheme: "bearer" } } },
    security: [{}, { key: [] }],
  };
}

function shown(reply: z.ZodType): object {
  return z.toJSONSchema(reply, { io: "output" });
}

function json(schema: object): object {
  return { "application/json": { schema } };
}
