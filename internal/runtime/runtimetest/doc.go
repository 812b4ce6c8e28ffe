// Package runtimetest is the contract of a runtime as a test: it is handed an
// implementation and fails where it breaks a promise.
package runtimetest
