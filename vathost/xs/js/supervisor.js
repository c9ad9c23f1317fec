/* The JavaScript half of the engine: liveslots, with its syscalls as direct calls into C.
 *
 * The C half (host.c, engine.c) gives the functions named in HOST and calls those of `vat`. A
 * delivery gives a report at once, and fills it in when liveslots is done with the delivery; C reads
 * it when nothing is left to run. */
/* global globalThis, Compartment, harden */
import { makeLiveSlots } from '@agoric/swingset-liveslots';
import { letGo, levels, makeConsole, makeLogger } from './console.js';
import { knownFormats, readers } from './formats.js';
import { makeGlobals } from './globals.js';
import { gcTools, runTurn } from './turns.js';
import { reason } from './show.js';

const {
  send, subscribe, resolve, exit, dropImports, retireImports, retireExports, abandonExports,
  storeGet, storeNext, storeSet, storeDelete, hostConsole, Base64, TextEncoder, TextDecoder, assert, HandledPromise,
} = globalThis;
const HOST = ['send', 'subscribe', 'resolve', 'exit', 'dropImports', 'retireImports', 'retireExports',
  'abandonExports', 'storeGet', 'storeNext', 'storeSet', 'storeDelete', 'hostConsole', 'gc', 'meterOff', 'meterOn',
  'hostStamp', 'hostRandom', 'hostDigest', 'hostLibrary'];
for (const name of HOST) delete globalThis[name];

/* ---- syscalls ---- */

/* One call may name at most this many references (SLOTS_MAX); liveslots does not care how many calls
 * its lists take. */
const REFS_MAX = 10000;
const inPieces = f => vrefs => {
  for (let i = 0; i < vrefs.length; i += REFS_MAX) f(vrefs.slice(i, i + REFS_MAX));
};

const syscall = harden({
  send: (target, methargs, result) => send(target, methargs.body, methargs.slots, result),
  subscribe: vpid => subscribe(vpid),
  resolve: resolutions =>
    resolve(resolutions.flatMap(([vpid, rejected, data]) => [vpid, rejected, data.body, data.slots])),
  exit: (failure, info) => exit(failure, info.body, info.slots),
  dropImports: inPieces(dropImports),
  retireImports: inPieces(retireImports),
  retireExports: inPieces(retireExports),
  abandonExports: inPieces(abandonExports),
  callNow: () => {
    throw Error('syscall.callNow failed: there are no devices');
  },
  vatstoreGet: key => storeGet(key),
  vatstoreGetNextKey: prior => storeNext(prior),
  vatstoreSet: (key, value) => storeSet(key, value),
  vatstoreDelete: key => storeDelete(key),
});

/* ---- the vat ---- */

/* Compartment as vats see it: each one made with it, at any depth, has liveslots' globals. */
const confine = (Original, inescapable) => {
  const descriptors = Object.getOwnPropertyDescriptors(inescapable);
  const Confined = function Compartment(...args) {
    if (new.target === undefined) throw TypeError('Compartment must be called with new');
    const compartment = Reflect.construct(Original, args, new.target);
    Object.defineProperties(compartment.globalThis, {
      ...descriptors,
      Compartment: { value: Confined, writable: true, configurable: true, enumerable: false },
    });
    return compartment;
  };
  Confined.prototype = Original.prototype;
  return Confined;
};

/* Why a start failed, when that is known better than "buildRootObject threw". */
let failure;
const fail = (code, text) => {
  failure = { code, reason: text };
  throw Error(text);
};

const parseBundle = text => {
  let bundle;
  try {
    bundle = JSON.parse(text);
  } catch (e) {
    fail('BUNDLE_BROKEN', `the bundle is not JSON: ${reason(e)}`);
  }
  if (typeof bundle !== 'object' || bundle === null) fail('BUNDLE_BROKEN', 'the bundle is not a JSON object');
  return bundle;
};

const readBundle = async (bundle, formats, globals, inescapable) => {
  const read = Object.hasOwn(formats, bundle.moduleFormat) ? formats[bundle.moduleFormat] : undefined;
  if (!read) {
    fail('BUNDLE_FORMAT', `moduleFormat ${reason(bundle.moduleFormat)} is not known; known: ${knownFormats.join(', ')}`);
  }
  let namespace;
  try {
    namespace = await read(bundle, globals, confine(Compartment, inescapable), inescapable);
  } catch (e) {
    if (e instanceof SyntaxError) fail('BUNDLE_BROKEN', reason(e));
    fail('BUILD_ROOT_THREW', `a module threw while it was evaluated: ${reason(e)}`);
  }
  const names = Object(namespace) === namespace ? Object.keys(namespace) : [];
  if (!names.includes('buildRootObject') || typeof namespace.buildRootObject !== 'function') {
    fail('NO_BUILD_ROOT', names.length ? `the bundle exports only: ${names.join(', ')}` : 'the bundle exports nothing');
  }
  return namespace;
};

/* ---- deliveries, called from C ---- */

export const supervise = moreReaders => {
  const formats = { ...readers, ...moreReaders };
  let dispatch;

  const run = (delivery, starting) => {
    const report = { settled: false, code: '', reason: '' };
    const settle = (code, text) => {
      report.code = code;
      report.reason = text;
      report.settled = true;
    };
    dispatch(harden(delivery)).then(
      () => settle('', ''),
      thrown => {
        if (!starting) settle('VAT_FAILED', reason(thrown));
        else if (failure) settle(failure.code, failure.reason);
        else if (thrown === 'buildRootObject unresolved') {
          settle('BUILD_ROOT_THREW', 'buildRootObject did not settle within the crank');
        } else settle('BUILD_ROOT_THREW', reason(thrown));
      },
    );
    return report;
  };

  /* ASKED: names of the globals that the vat asks for, with spaces between. */
  const start = (vatID, bundleText, body, slots, asked) => {
    const vatConsole = makeConsole('vat');
    const buildVatNamespace = async (endowments, inescapable) => {
      const { globals: more, adapt } = makeGlobals(asked, e => vatConsole.error('Uncaught', e));
      const globals = {
        console: vatConsole, assert, HandledPromise, TextEncoder, TextDecoder, Base64, ...more, ...endowments,
      };
      const { buildRootObject } = await readBundle(parseBundle(bundleText), formats, globals, inescapable);
      return { buildRootObject: adapt(buildRootObject) };
    };
    const testLog = (...args) => makeConsole('vat:testLog').log(...args);
    const vatPowers = harden({ testLog, logger: makeLogger() });
    ({ dispatch } = makeLiveSlots(
      syscall, vatID, vatPowers, harden({}), gcTools, makeConsole('ls'), buildVatNamespace,
    ));
    return run(['startVat', { body, slots }], true);
  };

  globalThis.vat = harden({
    start,
    message: (target, body, slots, result) =>
      run(['message', target, { methargs: { body, slots }, result }], false),
    /* FLAT: promise, rejected, body, slots, and the next four */
    notify: flat => {
      const resolutions = [];
      for (let i = 0; i < flat.length; i += 4) {
        resolutions.push([flat[i], flat[i + 1], { body: flat[i + 2], slots: flat[i + 3] }]);
      }
      return run(['notify', resolutions], false);
    },
    refs: (kind, vrefs) => run([kind, vrefs], false),
    reap: () => run(['bringOutYourDead'], false),
    turn: runTurn,
    unhandled: why => {
      hostConsole(levels.warn, 'vat', `Unhandled promise rejection: ${reason(why)}`);
      letGo(why);
    },
  });
};
