/* Request and Response of the Fetch standard. A body is whole: there are no streams, so `body` is
 * null, and there is no Blob and no FormData. */
import { URL, URLSearchParams } from 'whatwg-url';
import { copyOf, Headers, valueOf } from './headers.js';

const isBuffer = value => value instanceof ArrayBuffer;
const utf8 = text => new TextEncoder().encode(text);

/* [bytes or null, content type or undefined] */
const extract = body => {
  if (body === null || body === undefined) return [null, undefined];
  if (isBuffer(body)) return [new Uint8Array(body.slice(0)), undefined];
  if (ArrayBuffer.isView(body)) {
    return [new Uint8Array(body.buffer, body.byteOffset, body.byteLength).slice(), undefined];
  }
  if (body instanceof URLSearchParams) {
    return [utf8(String(body)), 'application/x-www-form-urlencoded;charset=UTF-8'];
  }
  return [utf8(String(body)), 'text/plain;charset=UTF-8'];
};

export let bytesOf; // of a request or answer; null when it has no body
let setBytes;
let spend;

class Body {
  #bytes = null;

  #used = false;

  static {
    bytesOf = body => body.#bytes;
    setBytes = (body, bytes) => { body.#bytes = bytes; };
    spend = body => {
      if (body.#used) throw TypeError('the body was read already');
      if (body.#bytes === null) return new Uint8Array(0);
      body.#used = true;
      return body.#bytes;
    };
  }

  get body() {
    return null;
  }

  get bodyUsed() {
    return this.#used;
  }

  async arrayBuffer() {
    return spend(this).slice().buffer;
  }

  async bytes() {
    return spend(this).slice();
  }

  async text() {
    return new TextDecoder().decode(spend(this));
  }

  async json() {
    return JSON.parse(new TextDecoder().decode(spend(this)));
  }
}

/* ---- Request ---- */

const METHODS = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'POST', 'PUT'];
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

const methodOf = value => {
  const name = String(value);
  const upper = name.toUpperCase();
  if (!TOKEN.test(name) || ['CONNECT', 'TRACE', 'TRACK'].includes(upper)) {
    throw TypeError(`not the method of a request: ${JSON.stringify(name)}`);
  }
  return METHODS.includes(upper) ? upper : name;
};

const urlOf = input => {
  const url = new URL(String(input));
  if (url.username || url.password) throw TypeError(`a request's URL has no user and no password: ${url.hostname}`);
  return url.href;
};

/* Told of by the standard, and of no effect here but for redirect. */
const SETTINGS = { mode: 'cors', credentials: 'same-origin', cache: 'default', redirect: 'follow',
  referrer: 'about:client', referrerPolicy: '', integrity: '', keepalive: false, destination: '', duplex: 'half' };
const REDIRECTS = ['follow', 'error', 'manual'];

/* Request, and signalOf: signalOf(request) is the signal that it was made with. */
export const makeRequest = ({ AbortSignal, isSignal }) => {
  let setting, signalOf;
  class Request extends Body {
    #url;

    #method = 'GET';

    #headers;

    #given; /* the signal that the request was made with */

    #signal; /* its own, which follows that one; made when somebody asks */

    #settings = { ...SETTINGS };

    constructor(input, init = undefined) {
      super();
      const options = init ?? {};
      const other = Object(input) === input && #url in input ? input : undefined;
      this.#url = other ? other.#url : urlOf(input);
      if (other) {
        this.#method = other.#method;
        this.#settings = { ...other.#settings };
      }
      if (options.method !== undefined) this.#method = methodOf(options.method);
      for (const name of Object.keys(SETTINGS)) {
        if (options[name] !== undefined) this.#settings[name] = options[name];
      }
      if (!REDIRECTS.includes(this.#settings.redirect)) throw TypeError(`redirect is one of ${REDIRECTS.join(', ')}`);
      this.#headers = new Headers(options.headers ?? other?.#headers);
      const signal = options.signal === undefined ? other?.#given : options.signal;
      if (signal && !isSignal(signal)) throw TypeError('the signal is no AbortSignal');
      this.#given = signal ?? undefined;
      this.#takeBody(options.body ?? undefined, other);
    }

    #takeBody(given, other) {
      const bare = this.#method === 'GET' || this.#method === 'HEAD';
      if (given === undefined && other) {
        if (bare && bytesOf(other) !== null) throw TypeError(`a ${this.#method} request has no body`);
        setBytes(this, bytesOf(other) === null ? null : spend(other));
        return;
      }
      if (bare && given !== undefined) throw TypeError(`a ${this.#method} request has no body`);
      const [bytes, type] = extract(given);
      setBytes(this, bytes);
      if (type && !this.#headers.has('content-type')) this.#headers.append('content-type', type);
    }

    get url() {
      return this.#url;
    }

    get method() {
      return this.#method;
    }

    get headers() {
      return this.#headers;
    }

    get signal() {
      this.#signal ??= AbortSignal.any(this.#given ? [this.#given] : []);
      return this.#signal;
    }

    clone() {
      if (this.bodyUsed) throw TypeError('the body was read already');
      const { method, headers } = this;
      return new Request(this.#url, { ...this.#settings, method, headers, signal: this.#given, body: bytesOf(this) });
    }

    static {
      setting = (request, name) => request.#settings[name];
      signalOf = request => request.#given;
    }
  }
  for (const name of Object.keys(SETTINGS)) {
    const { get } = Object.getOwnPropertyDescriptor({ get [name]() { return setting(this, name); } }, name);
    Object.defineProperty(Request.prototype, name, { get, enumerable: true, configurable: true });
  }
  return { Request, signalOf };
};

/* ---- Response ---- */

const BARE = [101, 103, 204, 205, 304];
const REDIRECTING = [301, 302, 303, 307, 308];

export let makeResponse; // an answer from outside

export class Response extends Body {
  #status = 200;

  #statusText = '';

  #headers;

  #url = '';

  #type = 'default';

  #redirected = false;

  static {
    makeResponse = ({ status, statusText, url, redirected, type = 'basic' }, headers, bytes) => {
      const response = new Response();
      response.#status = status;
      response.#statusText = statusText;
      response.#url = url;
      response.#redirected = redirected;
      response.#type = type;
      response.#headers = headers;
      setBytes(response, BARE.includes(status) ? null : bytes);
      return response;
    };
  }

  constructor(body = null, init = undefined) {
    super();
    const { status = 200, statusText = '', headers } = init ?? {};
    const code = Math.trunc(Number(status));
    if (!(code >= 200 && code <= 599)) throw RangeError(`${String(status)} is no status from 200 to 599`);
    this.#status = code;
    this.#statusText = valueOf(statusText);
    this.#headers = new Headers(headers);
    const [bytes, type] = extract(body);
    if (bytes !== null && BARE.includes(code)) throw TypeError(`a response ${code} has no body`);
    setBytes(this, bytes);
    if (type && !this.#headers.has('content-type')) this.#headers.append('content-type', type);
  }

  get status() {
    return this.#status;
  }

  get statusText() {
    return this.#statusText;
  }

  get ok() {
    return this.#status >= 200 && this.#status <= 299;
  }

  get headers() {
    return this.#headers;
  }

  get url() {
    return this.#url;
  }

  get type() {
    return this.#type;
  }

  get redirected() {
    return this.#redirected;
  }

  clone() {
    if (this.bodyUsed) throw TypeError('the body was read already');
    return makeResponse(this, copyOf(this.#headers), bytesOf(this));
  }

  static error() {
    return makeResponse({ status: 0, statusText: '', url: '', redirected: false, type: 'error' }, new Headers(), null);
  }

  static json(data, init = undefined) {
    const text = JSON.stringify(data);
    if (text === undefined) throw TypeError('this is not to be said in JSON');
    const response = new Response(utf8(text), init);
    if (!response.#headers.has('content-type')) response.#headers.append('content-type', 'application/json');
    return response;
  }

  static redirect(url, status = 302) {
    const location = new URL(String(url)).href;
    if (!REDIRECTING.includes(status)) throw RangeError(`${String(status)} is no status of a redirection`);
    return new Response(null, { status, headers: { location } });
  }
}
