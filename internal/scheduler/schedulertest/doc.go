// Package schedulertest is the contract of a scheduler as a test: it is handed
// an implementation and fails where it breaks a promise.
package schedulertest
