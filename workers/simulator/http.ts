// What the worker's endpoints share of HTTP.

export type Route = (request: Request) => Response | Promise<Response>;

export function json(value: unknown): Response {
  return new Response(JSON.stringify(value), { headers: { "content-type": "application/json" } });
}
