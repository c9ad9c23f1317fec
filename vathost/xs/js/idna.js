/* What whatwg-url wants of tr46, without its tables (140 kB): NFKC and lower case instead of the
 * mapping table, Unicode's categories instead of the list of valid characters. For the names that
 * people register both give the same. */
import { decode, encode } from 'punycode/punycode.es6.js';

const IGNORED = /[\u00AD\u034F\u180B-\u180D\u200B\u2060\u2064\uFE00-\uFE0F\uFEFF]/gu;
const INVALID = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Z}\uFFFC\uFFFD]/u;
const isAscii = text => !/[^\u0000-\u007F]/u.test(text);

/* Letter by letter, so that a final sigma is mapped as any other. */
const map = text => Array.from(text.replace(IGNORED, '').normalize('NFKC').replace(/\u3002/gu, '.'))
  .map(letter => letter.toLowerCase()).join('').normalize('NFC');

const isValid = label => label === label.normalize('NFC') && !INVALID.test(label) && !/^\p{M}/u.test(label);

/* A label in ASCII, or null. */
const labelToASCII = label => {
  if (!isAscii(label)) return isValid(label) ? `xn--${encode(label)}` : null;
  if (!label.startsWith('xn--')) return label;
  let text;
  try {
    text = decode(label.slice(4));
  } catch (_e) {
    return null;
  }
  return !isAscii(text) && map(text) === text && isValid(text) ? label : null;
};

export const toASCII = domain => {
  if (isAscii(domain) && !/xn--/iu.test(domain)) return domain.toLowerCase();
  const labels = map(domain).split('.').map(labelToASCII);
  return labels.includes(null) ? null : labels.join('.');
};
