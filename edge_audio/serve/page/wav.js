// Reads a WAV file of 16-bit samples while it arrives: the server knows a clip's length before it
// is decoded, so its header is true from the first byte.

const HEAD = 1 << 16; // nobody's chunks before the samples are longer

/**
 * @param {ReadableStream<Uint8Array>} stream
 * @param {(format: {rate: number, channels: number, frames: number}) => void} onFormat
 * @param {(blocks: Float32Array[]) => void} onBlock samples a channel, full scale ±1
 */
export async function readWav(stream, onFormat, onBlock) {
  const reader = stream.getReader();
  let format = null;
  let rest = new Uint8Array(0);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    rest = joined(rest, value);
    if (!format) {
      format = parseHeader(rest);
      if (!format) {
        if (rest.length > HEAD) throw new Error("this is no WAV file");
        continue;
      }
      rest = rest.subarray(format.offset);
      onFormat(format);
    }
    const whole = rest.length - (rest.length % (2 * format.channels));
    if (whole) onBlock(deinterleaved(rest.subarray(0, whole), format.channels));
    rest = rest.slice(whole);
  }
  if (!format) throw new Error("this is no WAV file");
}

function joined(a, b) {
  if (!a.length) return b;
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

/** @returns the format and where the samples begin, or null while the header is incomplete */
function parseHeader(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const tag = (at) => String.fromCharCode(...bytes.subarray(at, at + 4));
  if (bytes.length < 12) return null;
  if (tag(0) !== "RIFF" || tag(8) !== "WAVE") throw new Error("this is no WAV file");
  let rate = 0;
  let channels = 0;
  for (let at = 12; at + 8 <= bytes.length;) {
    const size = view.getUint32(at + 4, true);
    if (tag(at) === "data") {
      if (!channels) throw new Error("this WAV file has no format");
      return { rate, channels, frames: Math.floor(size / (2 * channels)), offset: at + 8 };
    }
    if (tag(at) === "fmt ") {
      if (at + 24 > bytes.length) return null;
      channels = view.getUint16(at + 10, true);
      rate = view.getUint32(at + 12, true);
      if (view.getUint16(at + 22, true) !== 16) throw new Error("only 16-bit WAV is read here");
    }
    at += 8 + size + (size % 2); // chunks begin at even places
  }
  return null;
}

function deinterleaved(bytes, channels) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const frames = bytes.length / 2 / channels;
  const blocks = Array.from({ length: channels }, () => new Float32Array(frames));
  for (let frame = 0, at = 0; frame < frames; frame++) {
    for (let channel = 0; channel < channels; channel++, at += 2) {
      blocks[channel][frame] = view.getInt16(at, true) / 32768;
    }
  }
  return blocks;
}
