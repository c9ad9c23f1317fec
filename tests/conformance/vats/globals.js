// Uses the globals that its cluster file asks for, and says of any name whether it is there.
/* global AbortController, Headers, Request, Response, TextDecoder, TextEncoder, URL, URLSearchParams, atob, btoa, clearInterval,
   crypto, fetch, setInterval, setTimeout */
import { Far } from '@endo/far';

export const buildRootObject = vatPowers => {
  const { log } = vatPowers.logger;
  log('buildRootObject');
  return Far('root', {
    bootstrap() {
      log('bootstrap');
    },
    has: name => name in globalThis,
    text: () => new TextDecoder().decode(new TextEncoder().encode('hello')),
    url() {
      const url = new URL('https://example.com/path?a=1');
      url.searchParams.set('b', '2');
      return [url.pathname, new URLSearchParams('x=10&y=20').get('x'), url.toString()];
    },
    base64: () => atob(btoa('hello world')),
    abort() {
      const controller = new AbortController();
      const before = controller.signal.aborted;
      controller.abort('test reason');
      return [before, controller.signal.aborted];
    },
    timeout: () => new Promise(resolve => setTimeout(() => resolve('fired'), 10)),
    interval: () =>
      new Promise(resolve => {
        let ticks = 0;
        const handle = setInterval(() => {
          ticks += 1;
          if (ticks < 2) return;
          clearInterval(handle);
          resolve(ticks);
        }, 10);
      }),
    date: () => Date.now() > 1.6e12,
    chance() {
      const value = Math.random();
      return value >= 0 && value < 1;
    },
    bytes: () => crypto.getRandomValues(new Uint8Array(16)).some(byte => byte !== 0),

    async hello(url) {
      try {
        const response = await fetch(url);
        log(`response: ${await response.text()}`);
        log(`Request constructor: ${new Request(url) instanceof Request ? 'ok' : 'missing'}`);
        log(`Headers constructor: ${new Headers({ 'x-test': '1' }) instanceof Headers ? 'ok' : 'missing'}`);
        log(`Response constructor: ${new Response('body') instanceof Response ? 'ok' : 'missing'}`);
        return response.status;
      } catch (error) {
        log(`error: ${error}`);
        throw error;
      }
    },
  });
};
