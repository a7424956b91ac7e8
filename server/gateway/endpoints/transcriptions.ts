// POST /v1/audio/transcriptions and /v1/audio/translations: a recording in a form, a text back.

import {
  ApiError,
  AUDIO_FORM_BYTES_MAX,
  AUDIO_SECONDS_FIELD,
  bodyOfForm,
  type Form,
  type Need,
  needsOfTranscription,
  needsOfTranslation,
  parseTranscriptionForm,
  parseTranslationForm,
  recordingOf,
  TranscriptionRequest,
  writeForm,
} from "@oxbow/contract";
import { refuseLacking, refuseUnable } from "../ability.ts";
import type { Prepared } from "../call.ts";
import { modelOf } from "../catalogue.ts";
import { type Exchange, identify } from "../exchange.ts";
import { readForm } from "../form.ts";
import { engineOf, relayCall } from "../relay-call.ts";

export function transcriptions(exchange: Exchange): Promise<Response> {
  return hear(exchange, "transcription", (form) => {
    const call = parseTranscriptionForm(form);
    return { needs: needsOfTranscription(call), stream: call.stream === true };
  });
}

export function translations(exchange: Exchange): Promise<Response> {
  return hear(exchange, "translation", (form) => {
    parseTranslationForm(form);
    return { needs: needsOfTranslation(), stream: false };
  });
}

async function hear(
  exchange: Exchange,
  feature: "transcription" | "translation",
  parse: (form: Form) => { needs: Iterable<Need>; stream: boolean },
): Promise<Response> {
  identify(exchange);
  const form = await readForm(exchange, { bytesMax: AUDIO_FORM_BYTES_MAX });
  const body = bodyOfForm(form, TranscriptionRequest);
  const model = modelOf(body, exchange.rooms.catalogue);
  const engine = engineOf(exchange, model);
  refuseUnable(exchange, model, engine, feature);
  const { needs, stream } = parse(form);
  const recording = recordingOf(form);
  refuseLacking(exchange, model, engine, needs);

  form.fields.set("model", [model.id]);
  const { bytes, contentType } = writeForm({ fields: form.fields, files: [recording] }, TranscriptionRequest);
  return relayCall(exchange, {
    model,
    engine,
    path: exchange.path,
    received: bytes,
    contentType,
    body,
    prepare: async (signal): Promise<Prepared> => {
      const seconds = await secondsOf(exchange, recording.bytes, signal);
      return {
        instead: null,
        measures: [{ limit: "audioSecondsMax", amount: seconds, field: "file" }],
        headers: { [AUDIO_SECONDS_FIELD]: String(seconds) },
      };
    },
    stream,
    choices: 1,
    generations: 1,
    inputTokens: 0,
    inputField: "prompt",
    outputTokens: null,
    outputField: null,
  });
}

/**
 * How long a recording is.
 * @throws ApiError `input_limit_exceeded` for one that is longer than this server takes, or would unpack to more
 */
async function secondsOf({ rooms, caller }: Exchange, bytes: Uint8Array, signal: AbortSignal): Promise<number> {
  const secondsMax = rooms.limits.audioSecondsMax;
  const found = await rooms.media.audio(bytes, { secondsMax, owner: caller!.accountId, signal });
  const { seconds, sampleRate, channels } = found;
  if (seconds > secondsMax) throw tooLong(`more than ${secondsMax} seconds of audio`);
  if (seconds * sampleRate * channels > secondsMax * SAMPLES_PER_SECOND)
    throw tooLong(`${Math.ceil(seconds)} seconds of audio with ${channels} channels of ${sampleRate} samples a second`);
  return seconds;
}

/** Stereo at 48 kHz: a recording that is as long as it may be must not hold more. */
const SAMPLES_PER_SECOND = 96_000;

function tooLong(what: string): ApiError {
  const text = `Your file has ${what}, and this server takes no more in one call. Please send a shorter recording, or a long one in parts.`;
  return new ApiError("input_limit_exceeded", text, { param: "file" });
}
