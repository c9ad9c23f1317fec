/* Time inside a worker: what "later" means, garbage collection, and when the meter runs. */
/* global globalThis, WeakRef, FinalizationRegistry, harden */

const { meterOff, meterOn, gc } = globalThis;

/* Jobs that run when no promise job is left, in the order of their making. The engine calls
 * runTurn() each time XS is idle, until it says false. */
const waiting = [];
const later = () => new Promise(resolve => { waiting.push(resolve); });
export const runTurn = () => {
  const resolve = waiting.shift();
  if (!resolve) return false;
  resolve();
  return true;
};

/* liveslots stops the meter around whatever depends on when garbage is collected. meterOff() gives
 * the reading, meterOn() puts it back; the clock goes on in between. */
let off = 0;
const stopMeter = () => {
  const reading = meterOff();
  off += 1;
  return reading;
};
const startMeter = reading => {
  off -= 1;
  meterOn(reading);
};
const runWithoutMetering = thunk => {
  const reading = stopMeter();
  try {
    return thunk();
  } finally {
    startMeter(reading);
  }
};
const runWithoutMeteringAsync = async thunk => {
  const reading = stopMeter();
  return Promise.resolve()
    .then(() => thunk())
    .finally(() => startMeter(reading));
};
const meterControl = harden({
  isMeteringDisabled: () => off > 0,
  assertIsMetered: text => {
    if (off > 0) throw Error(text);
  },
  assertNotMetered: text => {
    if (off === 0) throw Error(text);
  },
  runWithoutMetering,
  runWithoutMeteringAsync,
  unmetered: f => harden((...args) => runWithoutMetering(() => f(...args))),
});

/* XS runs finalizers at the end of a job, so a collection needs turns before and after it. */
const gcAndFinalize = async () => {
  await later();
  await later();
  gc();
  await later();
  await later();
};

export const gcTools = harden({
  WeakRef, FinalizationRegistry, meterControl, waitUntilQuiescent: later, gcAndFinalize,
});
