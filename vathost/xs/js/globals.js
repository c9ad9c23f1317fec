/* Globals that a vat has only when its cluster file asks for them (wire/schema/global.def), with
 * ocap-kernel's names. Each is made at the vat's start, and only what was asked for.
 *
 * Timers and fetch need the kernel: a vat that asks for one of them gets an object of the kernel,
 * `outside`, with its parameters. What is asked of it before it is there waits. */
/* global globalThis, Compartment, harden */
import { E } from '@endo/eventual-send';
import { atob, btoa, fromBase64, toBase64 } from './base64.js';
import { makeCrypto, makeMath } from './chance.js';
import { makeDate } from './clock.js';
import { DOMException } from './exception.js';
import { makeTimers } from './timers.js';

const { hostLibrary, TextEncoder, TextDecoder } = globalThis;

const OUTSIDE = ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'fetch'];

const makeOutside = () => {
  let presence;
  const waiting = [];
  const later = f => {
    if (presence) f();
    else waiting.push(f);
  };
  return {
    ask: (method, ...args) => new Promise(resolve => { later(() => resolve(E(presence)[method](...args))); }),
    tell: (method, ...args) => later(() => { E.sendOnly(presence)[method](...args); }),
    connect: it => {
      presence = it;
      for (const f of waiting.splice(0)) f();
    },
  };
};

/* Variables of its own are found sooner than a compartment's globals: web.js is given these as such. */
const NEAR = ['Array', 'ArrayBuffer', 'Error', 'JSON', 'Math', 'Number', 'Object', 'Promise', 'Reflect', 'Set', 'String',
  'Symbol', 'TypeError', 'Uint8Array'].join();

/* web.js, evaluated when the first of its globals is made: it is no part of the golden snapshot, because
 * most vats ask for none of them. SES withholds the arrays of floats from compartments; whatwg-url wants
 * to know their names. */
const readWeb = () => {
  const globals = { TextEncoder, TextDecoder, Float32Array, Float64Array };
  const compartment = new Compartment({ name: 'web', globals, __options__: true });
  return compartment.evaluate(`((${NEAR}) => {${hostLibrary()}\n;return web;})(${NEAR})`).makeWeb;
};

const once = f => {
  let made;
  return () => {
    made ??= f();
    return made;
  };
};

/* NAMES: with spaces between. COMPLAIN(error) shows what nobody catches. */
export const makeGlobals = (names, complain) => {
  const asked = names.split(' ').filter(name => name);
  const outside = makeOutside();
  const timers = once(() => makeTimers(outside, complain));
  const crypto = once(makeCrypto);
  const web = once(() => readWeb()(harden({
    DOMException, complain, toBase64, fromBase64, askFetch: request => outside.ask('fetch', request),
    setTimeout: asked.some(name => OUTSIDE.includes(name)) ? timers().setTimeout : undefined,
  })));

  const makers = {
    Date: makeDate, Math: makeMath, atob: () => atob, btoa: () => btoa,
    TextEncoder: () => TextEncoder, TextDecoder: () => TextDecoder,
  };
  for (const name of ['crypto', 'SubtleCrypto']) makers[name] = () => crypto()[name];
  for (const name of ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval']) makers[name] = () => timers()[name];
  for (const name of ['URL', 'URLSearchParams', 'AbortController', 'AbortSignal', 'Headers', 'Request', 'Response',
    'fetch']) makers[name] = () => web()[name];

  const globals = {};
  for (const name of asked) {
    if (!Object.hasOwn(makers, name)) throw Error(`there is no global ${name} to be asked for`);
    globals[name] = makers[name]();
  }

  /* The kernel gives [parameters, outside] to the vats that need it. */
  const wrapsParameters = asked.some(name => OUTSIDE.includes(name));
  const unwrap = buildRootObject => (vatPowers, parameters, baggage) => {
    const [own, presence] = parameters;
    outside.connect(presence);
    return buildRootObject(vatPowers, own, baggage);
  };
  return { globals, adapt: wrapsParameters ? unwrap : buildRootObject => buildRootObject };
};
