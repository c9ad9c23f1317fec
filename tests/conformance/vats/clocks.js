// A vat that has itself woken, and says when that happened. Times are milliseconds; it is told them relative to now.
import { E, Far } from '@endo/far';

export const buildRootObject = () => {
  let service;
  let brand;
  let repeater;
  const events = [];
  const timestamp = absValue => harden({ absValue, timerBrand: brand });
  const relative = relValue => harden({ relValue, timerBrand: brand });
  const now = async () => (await E(service).getCurrentTimestamp()).absValue;
  const handler = Far('handler', { wake: time => void events.push(time) });
  const token = Far('token', {});
  const tried = promise =>
    promise.then(
      () => 'no error',
      reason => reason.message,
    );

  return Far('root', {
    async bootstrap(vats, devices) {
      service = await E(vats.timer).createTimerService(devices.timer);
      brand = await E(service).getTimerBrand();
    },
    async wakeIn(delay, withToken) {
      const when = timestamp((await now()) + delay);
      const answer = await E(service).setWakeup(when, handler, withToken ? token : undefined);
      return [answer.absValue === when.absValue, answer.timerBrand === brand];
    },
    // Whether each event has the time's form, and none is of the future; then they are forgotten.
    async getEvents() {
      const present = await now();
      return events.splice(0).map(({ absValue, timerBrand }) => timerBrand === brand && absValue <= present);
    },
    cancel: () => E(service).cancel(token),
    badHandler: async () => tried(E(service).setWakeup(timestamp((await now()) + 10n), 'banana')),
    async repeat(delay, interval) {
      repeater = await E(service).makeRepeater(relative(delay), relative(interval));
      await E(repeater).schedule(handler);
    },
    stop: () => E(repeater).disable(),
    async badSchedule() {
      repeater = await E(service).makeRepeater(relative(10n), relative(10n));
      return tried(E(repeater).schedule('norb'));
    },
    badCancel: () => E(service).cancel('bogus'),
    // How long a delay took, at least.
    async delay(ms) {
      const before = await now();
      const after = await E(service).delay(relative(ms));
      return after.absValue - before >= ms;
    },
  });
};
