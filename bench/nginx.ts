// nginx as the second yardstick: one worker, keep-alive to the upstream, no buffering of answers.

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Null when nginx is not installed: the tables then say so. */
export function findNginx(): string | null {
  return Bun.which("nginx") ?? Bun.which("nginx", { PATH: "/usr/sbin:/usr/local/sbin" });
}

/** A foreground nginx in front of the unix socket `socket`. The process that works is its one child. */
export function startNginx(binary: string, socket: string, port: number) {
  const dir = mkdtempSync(join(tmpdir(), "oxbow-bench-nginx-"));
  const file = join(dir, "nginx.conf");
  writeFileSync(file, config(dir, socket, port));
  return Bun.spawn([binary, "-p", dir, "-c", file, "-e", join(dir, "error.log")], {
    stdout: "ignore",
    stderr: "inherit",
  });
}

/** master_process off: one process, so that its processor time is the whole of it. */
function config(dir: string, socket: string, port: number): string {
  return `
daemon off; master_process off; pid ${dir}/nginx.pid;
events { worker_connections 8192; }
http {
  access_log off; client_body_temp_path ${dir}/body; proxy_temp_path ${dir}/proxy;
  fastcgi_temp_path ${dir}/f; uwsgi_temp_path ${dir}/u; scgi_temp_path ${dir}/s;
  client_max_body_size 100m; client_body_buffer_size 8m;
  upstream engine { server unix:${socket}; keepalive 64; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_read_timeout 600s;
    }
  }
}
`;
}
