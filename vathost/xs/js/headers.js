/* Headers of the Fetch standard. Names and values are checked as it says; those of an answer are
 * immutable. */
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

export const nameOf = name => {
  const text = String(name);
  if (!NAME.test(text)) throw TypeError(`not the name of a header: ${JSON.stringify(text)}`);
  return text.toLowerCase();
};

export const valueOf = value => {
  const text = String(value).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, '');
  if (/[\u0000\n\r]|[^\u0000-\u00FF]/.test(text)) throw TypeError(`not the value of a header: ${JSON.stringify(text)}`);
  return text;
};

let fill, lock;
export let copyOf; // immutable when the original is

export class Headers {
  #list = []; /* [name in lower case, value] */

  #locked = false;

  static {
    fill = (headers, pairs) => {
      for (const [name, value] of pairs) headers.#list.push([nameOf(name), valueOf(value)]);
    };
    lock = headers => { headers.#locked = true; };
    copyOf = headers => {
      const copy = new Headers();
      copy.#list = [...headers.#list];
      copy.#locked = headers.#locked;
      return copy;
    };
  }

  constructor(init = undefined) {
    if (init === undefined) return;
    if (Object(init) !== init) throw TypeError('Headers are made from pairs or from a record');
    const pairs = typeof init[Symbol.iterator] === 'function' ? [...init].map(pair => [...pair]) : Object.entries(init);
    for (const pair of pairs) {
      if (pair.length !== 2) throw TypeError('a header is a pair of name and value');
      this.append(pair[0], pair[1]);
    }
  }

  #write() {
    if (this.#locked) throw TypeError('these headers are immutable');
  }

  #sorted() {
    const names = [...new Set(this.#list.map(([name]) => name))].sort();
    return names.flatMap(name =>
      name === 'set-cookie' ? this.getSetCookie().map(value => [name, value]) : [[name, this.get(name)]]);
  }

  append(name, value) {
    const pair = [nameOf(name), valueOf(value)];
    this.#write();
    this.#list.push(pair);
  }

  delete(name) {
    const key = nameOf(name);
    this.#write();
    this.#list = this.#list.filter(([it]) => it !== key);
  }

  get(name) {
    const key = nameOf(name);
    const values = this.#list.filter(([it]) => it === key).map(([_name, value]) => value);
    return values.length ? values.join(', ') : null;
  }

  getSetCookie() {
    return this.#list.filter(([it]) => it === 'set-cookie').map(([_name, value]) => value);
  }

  has(name) {
    const key = nameOf(name);
    return this.#list.some(([it]) => it === key);
  }

  set(name, value) {
    const [key, text] = [nameOf(name), valueOf(value)];
    this.#write();
    const at = this.#list.findIndex(([it]) => it === key);
    if (at < 0) this.#list.push([key, text]);
    else this.#list = this.#list.filter(([it], i) => it !== key || i === at).map(pair => (pair[0] === key ? [key, text] : pair));
  }

  forEach(callback, thisArg = undefined) {
    for (const [name, value] of this.#sorted()) Reflect.apply(callback, thisArg, [value, name, this]);
  }

  entries() {
    return this.#sorted()[Symbol.iterator]();
  }

  keys() {
    return this.#sorted().map(([name]) => name)[Symbol.iterator]();
  }

  values() {
    return this.#sorted().map(([_name, value]) => value)[Symbol.iterator]();
  }

  [Symbol.iterator]() {
    return this.entries();
  }
}

/* Headers of an answer. A pair that is no header is left out: it is not the vat's mistake. */
export const headersFrom = pairs => {
  const headers = new Headers();
  for (const pair of pairs) {
    try {
      fill(headers, [pair]);
    } catch (_e) {
      continue;
    }
  }
  lock(headers);
  return headers;
};
