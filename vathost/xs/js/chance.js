/* Math and crypto for vats that ask for them: all chance follows from the delivery's seed. It is as
 * good as the seed, which the broker draws and which stands in the vat's log. */
/* global globalThis, harden */
import { DOMException } from './exception.js';

const { hostRandom, hostDigest, Math: AnyMath } = globalThis;

export const makeMath = () => {
  const random = () => {
    const bits = new DataView(hostRandom(8));
    return ((bits.getUint32(0, true) >>> 5) * 2 ** 26 + (bits.getUint32(4, true) >>> 6)) / 2 ** 53;
  };
  const value = { random }.random;
  return harden(Object.create(Object.prototype, {
    ...Object.getOwnPropertyDescriptors(AnyMath),
    random: { value, writable: true, enumerable: false, configurable: true },
  }));
};

/* ---- crypto ---- */

const BYTES_MAX = 65536; /* RANDOM_BYTES_MAX */
const INTEGERS = ['Int8Array', 'Uint8Array', 'Uint8ClampedArray', 'Int16Array', 'Uint16Array', 'Int32Array',
  'Uint32Array', 'BigInt64Array', 'BigUint64Array'];
const kindOf = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag).get;

const bytesOf = data => {
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  throw TypeError('the data are neither an ArrayBuffer nor a view of one');
};

const DIGESTS = { 'SHA-256': 256, 'SHA-512': 512 };
const METHODS = ['encrypt', 'decrypt', 'sign', 'verify', 'generateKey', 'deriveKey', 'deriveBits', 'importKey',
  'exportKey', 'wrapKey', 'unwrapKey'];

/* Classes that only we make instances of. */
const makeSubtle = () => {
  const made = new WeakSet();
  class SubtleCrypto {
    constructor() {
      throw TypeError('Illegal constructor');
    }

    async digest(algorithm, data) {
      if (!made.has(this)) throw TypeError('Illegal invocation');
      const name = String(Object(algorithm) === algorithm ? algorithm.name : algorithm).toUpperCase();
      if (!Object.hasOwn(DIGESTS, name)) {
        throw new DOMException(`digest ${name} is not supported; ${Object.keys(DIGESTS).join(' and ')} are`,
          'NotSupportedError');
      }
      return hostDigest(DIGESTS[name], bytesOf(data).slice().buffer);
    }
  }
  for (const name of METHODS) {
    const method = {
      async [name]() {
        throw new DOMException(`SubtleCrypto.${name} is not supported; digest is`, 'NotSupportedError');
      },
    };
    Object.defineProperty(SubtleCrypto.prototype, name, {
      value: method[name], writable: true, enumerable: false, configurable: true,
    });
  }
  const subtle = Object.create(SubtleCrypto.prototype);
  made.add(subtle);
  return { SubtleCrypto, subtle };
};

export const makeCrypto = () => {
  const { SubtleCrypto, subtle } = makeSubtle();
  const hex = byte => byte.toString(16).padStart(2, '0');
  class Crypto {
    constructor() {
      throw TypeError('Illegal constructor');
    }

    get subtle() {
      return subtle;
    }

    getRandomValues(array) {
      if (!ArrayBuffer.isView(array) || !INTEGERS.includes(kindOf.call(array))) {
        throw new DOMException('getRandomValues: the argument is no typed array of integers', 'TypeMismatchError');
      }
      if (array.byteLength > BYTES_MAX) {
        throw new DOMException(`getRandomValues: ${array.byteLength} bytes are more than ${BYTES_MAX}`,
          'QuotaExceededError');
      }
      bytesOf(array).set(new Uint8Array(hostRandom(array.byteLength)));
      return array;
    }

    randomUUID() {
      const bytes = new Uint8Array(hostRandom(16));
      bytes[6] = (bytes[6] & 0x0f) | 0x40;
      bytes[8] = (bytes[8] & 0x3f) | 0x80;
      const digits = [...bytes].map(hex).join('');
      return [0, 8, 12, 16, 20].map((at, i, all) => digits.slice(at, all[i + 1])).join('-');
    }
  }
  return harden({ crypto: Object.create(Crypto.prototype), SubtleCrypto });
};
