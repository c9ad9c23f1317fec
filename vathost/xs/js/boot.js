/* All that must happen before liveslots is loaded: console, SES, HandledPromise, lockdown. */
/* global globalThis, lockdown, harden */
import './console-shim.js';
import 'ses';
import '@endo/eventual-send/shim.js';

lockdown({
  errorTaming: 'unsafe', // messages and stacks as they are; all vats of a worker are one vat
  overrideTaming: 'severe', // lets vats assign what the frozen intrinsics would forbid by inheritance
  domainTaming: 'unsafe', // there are no domains
  localeTaming: 'unsafe', // there is no Intl
  stackFiltering: 'verbose',
});
harden(globalThis.console);
