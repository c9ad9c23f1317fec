/* Date for vats that ask for it: the time is the delivery's stamp, so it stands still during a crank
 * and is the same again in a replay. There is one time zone, UTC. */
/* global globalThis, harden */
const { hostStamp, Date: AnyDate } = globalThis;

export const makeDate = () => {
  const now = hostStamp;
  const Date = function Date(...args) {
    if (new.target === undefined) return new AnyDate(now()).toString();
    return Reflect.construct(AnyDate, args.length === 0 ? [now()] : args, new.target);
  };
  const { prototype, parse, UTC } = AnyDate;
  const fixed = value => ({ value, writable: false, enumerable: false, configurable: false });
  Object.defineProperties(Date, {
    name: fixed('Date'), length: fixed(7), prototype: fixed(prototype), parse: fixed(parse), UTC: fixed(UTC),
    now: fixed({ now: () => now() }.now),
  });
  return harden(Date);
};
