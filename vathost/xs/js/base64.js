/* atob and btoa, and base64 for what goes outside. */
/* global globalThis, harden */
import { DOMException } from './exception.js';

const { Base64 } = globalThis;
const PIECE = 4096; /* arguments of one call */

/* The C function looks at the end of its text before it knows that there is one. */
export const fromBase64 = text => new Uint8Array(text === '' ? 0 : Base64.decode(text));
/* Of the bytes of a buffer, from its beginning to its end. */
export const toBase64 = bytes => Base64.encode(bytes.slice().buffer);

const atob = text => {
  let data = String(text).replace(/[\t\n\f\r ]/g, '');
  if (data.length % 4 === 0) data = data.replace(/==?$/, '');
  if (data.length % 4 === 1 || !/^[A-Za-z0-9+/]*$/.test(data)) {
    throw new DOMException('atob: the text is not base64', 'InvalidCharacterError');
  }
  const bytes = fromBase64(data.padEnd(Math.ceil(data.length / 4) * 4, '='));
  let result = '';
  for (let at = 0; at < bytes.length; at += PIECE) result += String.fromCharCode(...bytes.subarray(at, at + PIECE));
  return result;
};

const btoa = text => {
  const data = String(text);
  const bytes = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i += 1) {
    const code = data.charCodeAt(i);
    if (code > 255) {
      throw new DOMException('btoa: the text has characters beyond U+00FF', 'InvalidCharacterError');
    }
    bytes[i] = code;
  }
  return toBase64(bytes);
};

harden(atob);
harden(btoa);
export { atob, btoa };
