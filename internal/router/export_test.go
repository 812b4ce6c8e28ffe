package router

import (
	"crypto/tls"
	"time"
)

// SetUnderWay is how long one that was let go out of a lobby keeps its place
// from the next, for tests on machines of any speed.
func (r *Router) SetUnderWay(d time.Duration) { r.underWay = d }

// ConfigFor is what a handshake for a name goes on with, and what it is shown.
func (r *Router) ConfigFor(name string) (*tls.Certificate, error) {
	hello := &tls.ClientHelloInfo{ServerName: name}
	config, err := r.configFor(hello)
	if err != nil {
		return nil, err
	}
	return config.GetCertificate(hello)
}

// Dozing is how many connections of TLS wait without a buffer.
func (r *Router) Dozing() (n int) {
	r.watch.each(func(who watched) {
		if c, ok := who.(*inward); ok && c.doze.asleep.Load() {
			n++
		}
	})
	return n
}

// ServesHTTPS reports whether ServeTLS has begun.
func (r *Router) ServesHTTPS() bool { return r.httpsPort.Load() != 0 }
