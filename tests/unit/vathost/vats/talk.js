import { Far } from '@endo/far';
import { makeTagged } from '@endo/pass-style';

console.info('evaluated');

export function buildRootObject({ logger, testLog }) {
  const deep = { a: { b: { c: { d: { e: { f: 1 } } } } } };
  return Far('root', {
    say(x, p) {
      console.log('plain', 'two', 3, 42n, -0, NaN, true, null, undefined, Symbol.for('s'), Symbol.asyncIterator);
      console.log({ name: 'x', 'odd key': ['in', 'side'], [Symbol.for('k')]: 1 }, [1, [2, []]], {});
      console.log(Error('plain error'), TypeError('of a type'));
      console.log(x, p, Far('Local', {}), () => 1, function named() {});
      console.log(makeTagged('copySet', ['a']));
      console.debug('debug');
      console.warn('warn');
      console.error('error');
    },
    odd() {
      const round = {};
      round.again = round;
      console.log(round);
      console.log(deep);
      console.log({
        get x() {
          throw Error('a getter ran');
        },
      });
      console.log(
        new Proxy(
          {},
          {
            ownKeys() {
              throw Error('a trap ran');
            },
          },
        ),
      );
      console.log('x'.repeat(20000).length, 'y'.repeat(20000));
      console.log(new Array(1000).fill(7));
      console.log('\u{1F600} \u0000 \uD800 ü');
    },
    log() {
      logger.info('main', { n: 1 });
      const sub = logger.subLogger('net');
      sub.warn('one tag');
      sub.subLogger({ tags: ['tcp', 'net'] }).error('two tags');
      testLog('tested', 1);
    },
  });
}
