/* Consoles and loggers: each line goes to the host with a level and a source. */
/* global globalThis, harden */
import { outlet } from './console-shim.js';
import { line } from './show.js';

const { hostConsole, console: sesConsole } = globalThis;
export const levels = harden({ debug: 0, log: 1, info: 2, warn: 3, error: 4 });

const SOURCE_MAX = 200;
const say = (level, source, args) => hostConsole(level, source.slice(0, SOURCE_MAX), line(args));

/* What is said to the start compartment's console is said by SES or the libraries under liveslots. */
outlet.say = (level, args) => say(level, 'ls', args);

/* SES keeps with an error the values that its message names, presences too, until its console has shown
 * the error. What we show ourselves is shown to it with nobody listening. */
export const letGo = thrown => {
  const { say: listener } = outlet;
  outlet.say = () => {};
  try {
    sesConsole.error(thrown);
  } finally {
    outlet.say = listener;
  }
};

export const makeConsole = source => {
  const at = level => (...args) => say(level, source, args);
  const { debug, log, info, warn, error } = levels;
  return harden({
    debug: at(debug), log: at(log), info: at(info), warn: at(warn), error: at(error),
    trace: at(debug), dir: at(log), table: at(log), group: at(log), groupCollapsed: at(log), groupEnd: () => {},
    assert: (condition, ...args) => {
      if (!condition) say(error, source, ['Assertion failed:', ...args]);
    },
  });
};

/* ocap-kernel's vatPowers.logger: a console whose sub-loggers add tags to its source. */
export const makeLogger = (tags = []) => {
  const source = ['vat', ...tags].join(':');
  const at = level => (...args) => say(level, source, args);
  const { debug, log, info, warn, error } = levels;
  return harden({
    debug: at(debug), log: at(log), info: at(info), warn: at(warn), error: at(error),
    subLogger: (options = {}) => {
      const more = typeof options === 'string' ? [options] : options.tags || [];
      return makeLogger([...tags, ...more.map(String).filter(tag => !tags.includes(tag))]);
    },
  });
};
