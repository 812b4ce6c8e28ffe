// Package access takes what came of requests. A Log writes a line of each, or
// of a share of them, to a file, the standard output or the app's own log;
// Metrics count them for Prometheus and for whoever looks at the last minute.
// Both are told in the goroutine that served a request and keep it waiting for
// nothing: a line that finds no room is dropped and counted, and a count costs
// the lock of one shard.
package access
