/* The larger globals of the web: URL, AbortController, Headers, Request, Response, fetch. A script of its own, which
 * only vats that ask for one of them evaluate. */
/* global harden */
import { URL, URLSearchParams } from 'whatwg-url';
import { makeAbort } from './abort.js';
import { bytesOf, makeRequest, makeResponse, Response } from './bodies.js';
import { Headers, headersFrom } from './headers.js';

/* What the agent would refuse or not understand. The texts of the first two are ocap-kernel's. */
const refuse = ({ protocol, hostname }) => {
  if (protocol === 'file:') return Error('fetch cannot target file:// URLs');
  if (protocol === 'http:' || protocol === 'https:') return undefined;
  return hostname ? TypeError(`fetch failed: the scheme ${protocol} is not known`) : Error('Invalid host: ');
};

/* As fetch has it, but for the host that is not allowed: that is ocap-kernel's error. */
const failureOf = e => {
  const text = e instanceof Error ? e.message : String(e);
  if (text.startsWith('Invalid host: ') || e instanceof TypeError) return e;
  return TypeError(`fetch failed: ${text}`, { cause: e });
};

const makeFetch = ({ Request, signalOf }, { askFetch, toBase64, fromBase64 }) => {
  const ask = async request => {
    const { method, redirect, headers } = request;
    const url = new URL(request.url);
    const no = refuse(url);
    if (no) throw no;
    url.hash = '';
    const bytes = bytesOf(request);
    const body = bytes === null ? undefined : toBase64(bytes);
    let answer;
    try {
      const more = redirect === 'follow' ? {} : { redirect };
      answer = await askFetch(harden({ method, url: url.href, headers: [...headers], body, ...more }));
    } catch (e) {
      throw failureOf(e);
    }
    return makeResponse(answer, headersFrom(answer.headers), fromBase64(answer.body ?? ''));
  };
  const fetch = async (input, init = undefined) => {
    const request = new Request(input, init);
    const signal = signalOf(request);
    if (!signal) return ask(request);
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const stop = () => reject(signal.reason);
      signal.addEventListener('abort', stop, { once: true });
      ask(request).then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
    });
  };
  return fetch;
};

export const makeWeb = powers => {
  const abort = makeAbort(powers);
  const requests = makeRequest(abort);
  const { Request } = requests;
  const fetch = makeFetch(requests, powers);
  const { AbortController, AbortSignal } = abort;
  return harden({ URL, URLSearchParams, AbortController, AbortSignal, Headers, Request, Response, fetch });
};
