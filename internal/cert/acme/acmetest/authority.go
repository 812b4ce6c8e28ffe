// Package acmetest is a certificate authority and a name server for tests: Let's
// Encrypt's Pebble, which speaks RFC 8555 and validates for real, at ports of the
// test's choosing, and a server of zones that takes dynamic updates.
package acmetest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log" //nolint:depguard // what Pebble is handed
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// Options say how an authority behaves.
type Options struct {
	// HTTPPort and TLSPort are where it looks for proofs.
	HTTPPort, TLSPort int
	// Names is host:port of the name server that it asks.
	Names string
	// Seconds is how long certificates are valid. Default 90 days.
	Seconds uint64
	// Keys are those of external accounts, by id; without a binding to one of
	// them nobody registers, when there are any.
	Keys map[string]string
	// Blocked are domains that it refuses.
	Blocked []string
	// Address is where it listens; default anywhere on loopback.
	Address string
}

// Authority is one that runs. Close ends it.
type Authority struct {
	// Directory is its address, Roots whose certificate it has, in PEM.
	Directory string
	Roots     []byte

	server *httptest.Server
	ca     *ca.CAImpl

	mu     sync.Mutex
	orders []string // what was ordered, as it was posted
	refuse func(w http.ResponseWriter, r *http.Request) bool
}

// Start starts an authority.
func Start(o Options) (*Authority, error) {
	// What Pebble reads in the environment: it does not dawdle, and takes every nonce.
	for name, value := range map[string]string{"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"} {
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	if o.Seconds == 0 {
		o.Seconds = 90 * 24 * 3600
	}
	quiet := log.New(io.Discard, "", 0)
	if os.Getenv("ACMETEST_LOG") != "" {
		quiet = log.New(os.Stderr, "pebble ", 0)
	}
	shelf := db.NewMemoryStore()
	for id, key := range o.Keys {
		if err := shelf.AddExternalAccountKeyByID(id, key); err != nil {
			return nil, err
		}
	}
	for _, domain := range o.Blocked {
		if err := shelf.AddBlockedDomain(domain); err != nil {
			return nil, err
		}
	}
	a := &Authority{ca: ca.New(quiet, shelf, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": {Description: "default", ValidityPeriod: o.Seconds}})}
	front := wfe.New(quiet, shelf, va.New(quiet, o.HTTPPort, o.TLSPort, false, o.Names, shelf), a.ca, []string{"authority.test"}, false, len(o.Keys) > 0, 0, 0)
	handler := front.Handler()
	a.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.note(w, r) {
			handler.ServeHTTP(w, r)
		}
	}))
	if o.Address != "" {
		ln, err := net.Listen("tcp", o.Address)
		if err != nil {
			return nil, err
		}
		a.server.Listener.Close()
		a.server.Listener = ln
	}
	a.server.Config.ErrorLog = quiet
	a.server.StartTLS()
	a.Directory = a.server.URL + wfe.DirectoryPath
	a.Roots = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.server.Certificate().Raw})
	return a, nil
}

// Close ends it.
func (a *Authority) Close() { a.server.Close() }

// Root is what its certificates are signed by in the end, in PEM.
func (a *Authority) Root() []byte { return a.ca.GetRootCert(0).PEM() }

// Refuse has every request looked at before it is answered; refuse reports
// whether it answered itself. Nil: none is.
func (a *Authority) Refuse(refuse func(w http.ResponseWriter, r *http.Request) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refuse = refuse
}

// Orders is how many certificates were asked for.
func (a *Authority) Orders() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.orders)
}

// Ordered is how many of them were for names that end so.
func (a *Authority) Ordered(end string) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, order := range a.orders {
		if bytes.Contains(payload(order), []byte(end+`"`)) {
			n++
		}
	}
	return n
}

// Replacing is how many of them named the certificate that they replace (RFC
// 9773, 5).
func (a *Authority) Replacing() (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, order := range a.orders {
		if bytes.Contains(payload(order), []byte(`"replaces":`)) {
			n++
		}
	}
	return n
}

// payload is what an order says; nothing when it cannot be read.
func payload(order string) []byte {
	var posted struct{ Payload string }
	_ = json.Unmarshal([]byte(order), &posted)
	text, _ := base64.RawURLEncoding.DecodeString(posted.Payload)
	return text
}

func (a *Authority) note(w http.ResponseWriter, r *http.Request) (answered bool) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	r.Body = io.NopCloser(bytes.NewReader(body))
	a.mu.Lock()
	defer a.mu.Unlock()
	if strings.HasSuffix(r.URL.Path, "/order-plz") {
		a.orders = append(a.orders, string(body))
	}
	return a.refuse != nil && a.refuse(w, r)
}

// Problem answers as an authority that refuses.
func Problem(w http.ResponseWriter, status int, kind, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Replay-Nonce", "nonce")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"type": "urn:ietf:params:acme:error:" + kind, "detail": detail, "status": status})
}
