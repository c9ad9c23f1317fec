import './boot.js';
import { supervise } from './supervisor.js';

supervise({});
