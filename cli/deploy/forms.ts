// A start of vLLM written down: as a command for a shell, a unit for systemd, a manifest for Kubernetes.

import { stringify } from "yaml";
import { CommandError } from "../exit.ts";
import { bytesText } from "../values.ts";
import type { VllmStart } from "./vllm.ts";

/** The line of vLLM that these arguments were read for. */
const IMAGE = "vllm/vllm-openai:v0.32.0";

/** For the operator's eyes, in the comments of each form. */
function remarks(start: VllmStart): string[] {
  const { model, gpus, machines, memoryBytes, memoryStated, version } = start;
  const how = memoryStated ? "stated" : "reckoned from its parameters";
  const on =
    machines > 1
      ? `${machines} machines with ${gpus} accelerators each`
      : `${gpus} ${gpus === 1 ? "accelerator" : "accelerators"}`;
  return [
    `${model.name} on vLLM${version === undefined ? "" : ` ${version} or later`}: ${on}, at least ${bytesText(memoryBytes)} together (${how}).`,
    ...(machines > 1 ? ["The machines must be one Ray cluster; start this on its head."] : []),
    ...(model.weights?.gated
      ? ["The hub asks for a token of an account that has accepted the licence: HF_TOKEN."]
      : []),
    ...(start.args.includes("--trust-remote-code") ? ["It runs program code that comes with the weights."] : []),
    "Nobody but the gateway may reach the port: what vLLM protects with a key is not all it answers to.",
  ];
}

export function asCommand(start: VllmStart): string {
  const env = Object.entries(start.env).map(([name, value]) => `${name}=${shellWord(value)}`);
  const lines = [...env, "vllm serve", ...pairs(start.args).map((words) => words.map(shellWord).join(" "))];
  // The program and its first argument belong on one line.
  const at = env.length;
  lines.splice(at, 2, `${lines[at]} ${lines[at + 1]}`);
  return `${comment(remarks(start))}${lines.join(" \\\n  ")}\n`;
}

/** @param program absolute path of `vllm` */
export function asSystemd(start: VllmStart, program: string): string {
  const { model, env, args } = start;
  const variables = Object.entries({ ...env, HF_HOME: "/var/lib/vllm/huggingface" });
  const command = [[program], ["serve", ...pairs(args)[0]!], ...pairs(args).slice(1)];
  return `${comment(remarks(start))}
[Unit]
Description=vLLM: ${unitText(model.name)}
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=${command.map((words) => words.map(unitWord).join(" ")).join(" \\\n  ")}
${variables.map(([name, value]) => `Environment=${unitWord(`${name}=${value}`)}`).join("\n")}
# HF_TOKEN=... for weights that ask for one; readable by root alone.
EnvironmentFile=-/etc/oxbow/vllm.env
DynamicUser=yes
StateDirectory=vllm
Restart=always
RestartSec=5
# What runs may end.
TimeoutStopSec=120
LimitMEMLOCK=infinity

[Install]
WantedBy=multi-user.target
`;
}

/**
 * Deployment, service, the claim for the weights and a rule that lets nobody but the gateway in.
 * @throws CommandError for a model that takes more than one machine
 */
export function asKubernetes(start: VllmStart): string {
  const { model, args, env, gpus, machines, port, memoryBytes } = start;
  if (machines > 1) {
    const text = `${model.id} takes ${machines * gpus} accelerators, more than one machine of this form has. Name larger ones with --gpu-memory, or how many there are with --gpus.`;
    throw new CommandError(text);
  }
  const name = serviceName(start);
  const labels = { "app.kubernetes.io/name": "vllm", "app.kubernetes.io/instance": name };
  const metadata = { name, labels };
  const diskGb = Math.ceil(((model.weights?.bytes ?? memoryBytes) * 1.1) / 1e9);
  const token = {
    name: "HF_TOKEN",
    valueFrom: { secretKeyRef: { name: "huggingface", key: "token", optional: !model.weights?.gated } },
  };
  const container = {
    name: "vllm",
    image: IMAGE,
    args,
    env: [
      ...Object.entries(env).map(([name, value]) => ({ name, value })),
      { name: "HF_HOME", value: "/weights" },
      token,
    ],
    ports: [{ name: "http", containerPort: port }],
    resources: { limits: { "nvidia.com/gpu": gpus }, requests: { "nvidia.com/gpu": gpus } },
    // Weights come from the hub the first time: up to four hours.
    startupProbe: { httpGet: { path: "/health", port: "http" }, periodSeconds: 10, failureThreshold: 1440 },
    readinessProbe: { httpGet: { path: "/health", port: "http" }, periodSeconds: 5 },
    volumeMounts: [
      { name: "weights", mountPath: "/weights" },
      { name: "shm", mountPath: "/dev/shm" },
    ],
  };
  const documents = [
    {
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata,
      spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: `${diskGb}G` } } },
    },
    {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata,
      spec: {
        replicas: 1,
        // Two at once would need the accelerators twice.
        strategy: { type: "Recreate" },
        selector: { matchLabels: labels },
        template: {
          metadata: { labels },
          spec: {
            terminationGracePeriodSeconds: 120,
            containers: [container],
            volumes: [
              { name: "weights", persistentVolumeClaim: { claimName: name } },
              // The processes of one model speak through it.
              { name: "shm", emptyDir: { medium: "Memory" } },
            ],
          },
        },
      },
    },
    {
      apiVersion: "v1",
      kind: "Service",
      metadata,
      spec: { clusterIP: "None", selector: labels, ports: [{ name: "http", port, targetPort: "http" }] },
    },
    {
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata,
      spec: {
        podSelector: { matchLabels: labels },
        policyTypes: ["Ingress"],
        ingress: [
          {
            from: [{ podSelector: { matchLabels: { "app.kubernetes.io/name": "oxbow" } } }],
            ports: [{ port: "http" }],
          },
        ],
      },
    },
  ];
  return comment(remarks(start)) + documents.map((each) => stringify(each, YAML)).join("---\n");
}

/** Names of services have no dots, and 63 characters at most. */
export function serviceName({ model }: VllmStart): string {
  return `vllm-${model.id.replaceAll(".", "-")}`.slice(0, 63).replace(/-+$/, "");
}

/** Long lines stay whole, and what stands twice is written twice: anchors are not for people. */
const YAML = { lineWidth: 0, aliasDuplicateObjects: false } as const;

/** The entry by which the gateway knows it. */
export function asEngine({ model, port }: VllmStart, host: string, sleep: boolean): string {
  const entry = {
    kind: "vllm",
    url: `http://${host}:${port}/v1`,
    models: [{ id: model.id }],
    slots: SLOTS,
    ...(sleep ? { pinned: false } : {}),
  };
  return stringify({ [model.id.replaceAll(".", "-").slice(0, 32)]: entry }, YAML);
}

/** vLLM works on up to 256 at once by default; beyond some dozens each gets slower. */
const SLOTS = 64;

/** An option and its values stand on one line. */
function pairs(args: string[]): string[][] {
  const lines: string[][] = [];
  for (const arg of args) {
    const last = lines.at(-1);
    if (last === undefined || arg.startsWith("--") || !last[0]!.startsWith("--")) lines.push([arg]);
    else last.push(arg);
  }
  return lines;
}

function comment(lines: string[]): string {
  return lines.map((line) => `# ${line}\n`).join("");
}

function shellWord(text: string): string {
  return /^[\w./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** In a unit `%` and `$` stand for something, and quotes end words. */
function unitWord(text: string): string {
  const plain = text.replaceAll("%", "%%").replaceAll("$", "$$$$");
  return /^[\w./:=@%+,-]+$/.test(plain) ? plain : `"${plain.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

function unitText(text: string): string {
  return text.replaceAll("%", "%%").replaceAll("\n", " ");
}
