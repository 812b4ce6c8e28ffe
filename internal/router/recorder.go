package router

import (
	"bufio"
	"net"
	"net/http"
)

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status   int // 0 until the answer's head was written
	bytes    int64
	hijacked bool
}

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Hijack gives the connection away: the protocol was switched.
func (w *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.hijacked = true
		w.status = http.StatusSwitchingProtocols
	}
	return conn, rw, err
}

// Unwrap leads http.ResponseController to what the server can do besides.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// touched reports whether a final answer was begun.
func (w *recorder) touched() bool { return w.status != 0 || w.hijacked }
