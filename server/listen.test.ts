import { expect, test } from "bun:test";
import { StartError } from "./checks.ts";
import { describeListenError } from "./listen.ts";

/** The line for an error of listening. */
function lineFor(error: unknown, host: string, port: number): string {
  const described = describeListenError(error, { host, port });
  expect(described).toBeInstanceOf(StartError);
  return String(described).replace("StartError: ", "");
}

function listenError(hostname: string, port: number): string {
  try {
    Bun.serve({ hostname, port, fetch: () => new Response() }).stop(true);
  } catch (error) {
    return lineFor(error, hostname, port);
  }
  throw new Error("it listens");
}

test("a taken port, and an address that is not this machine's, are said in one line", () => {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const port = server.port!;
  expect(listenError("127.0.0.1", port)).toBe(
    `Port ${port} on 127.0.0.1 is taken by another program. Choose another, for example PORT=${port + 1} npm start.`,
  );
  server.stop(true);
  // A block set aside for documentation: RFC 5737.
  expect(listenError("192.0.2.1", 0)).toBe(
    "This machine has no address 192.0.2.1. Set HOST to one that it has: 127.0.0.1, or 0.0.0.0 for all.",
  );
  expect(listenError("nobody.invalid", 0)).toStartWith("This machine has no address nobody.invalid. Set HOST");
});

test("a port that this user may not have is named; any other error stays as it is", () => {
  const refused = Object.assign(new Error("permission denied"), { code: "EACCES" });
  expect(lineFor(refused, "::1", 80)).toBe(
    "This user may not listen on port 80. Choose one from 1024 on, for example PORT=8080 npm start.",
  );
  const other = new Error("other");
  expect(describeListenError(other, { host: "::1", port: 80 })).toBe(other);
});
