/* setTimeout and its kin, over the kernel's object `outside`: E(outside).after(id, ms) settles true
 * when the time has come, false when the timer was cleared. The callback runs in the crank that brings
 * the answer. A handle is good for the pair of functions that made it. */
/* global harden */
const DELAY_MS_MIN = 10; /* TIMEOUT_MS_MIN */
const DELAY_MS_MAX = 2 ** 45; /* a thousand years: longer is as good as never */

const delayOf = value => {
  const ms = Math.trunc(Number(value));
  return ms > DELAY_MS_MIN ? Math.min(ms, DELAY_MS_MAX) : DELAY_MS_MIN;
};

/* COMPLAIN shows an error that a callback threw, or that came instead of the time. */
export const makeTimers = (outside, complain) => {
  let count = 0;

  const run = (handler, args) => {
    try {
      Reflect.apply(handler, undefined, args);
    } catch (e) {
      complain(e);
    }
  };

  const makePair = (name, repeats) => {
    const timers = new Map(); /* by handle: what still waits */
    const arm = (handle, timer) => {
      const { id, delay, handler, args } = timer;
      outside.ask('after', id, delay).then(
        fired => {
          if (!fired || !timers.has(handle)) return;
          if (!repeats) timers.delete(handle);
          run(handler, args);
          if (timers.has(handle)) arm(handle, timer);
        },
        e => {
          timers.delete(handle);
          complain(e);
        },
      );
    };
    const set = (handler, ms = 0, ...args) => {
      if (typeof handler !== 'function') throw TypeError(`${name}: the handler is no function but ${typeof handler}`);
      const delay = delayOf(ms);
      const handle = Object.freeze(Object.create(null));
      count += 1;
      const timer = { id: count, delay, handler, args };
      timers.set(handle, timer);
      arm(handle, timer);
      return handle;
    };
    const clear = handle => {
      const timer = timers.get(handle);
      if (!timer) return;
      timers.delete(handle);
      outside.tell('clear', timer.id);
    };
    return [set, clear];
  };

  const [setTimeout, clearTimeout] = makePair('setTimeout', false);
  const [setInterval, clearInterval] = makePair('setInterval', true);
  return harden({ setTimeout, clearTimeout, setInterval, clearInterval });
};
