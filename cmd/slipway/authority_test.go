package main_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-paas/slipway/internal/cert/acme/acmetest"
	"github.com/slipway-paas/slipway/internal/porttest"
)

// authority is one script's certificate authority and name server.
type authority struct {
	server *acmetest.Authority
	names  *acmetest.Names
	roots  []byte
}

func (a *authority) end() {
	if a.server != nil {
		a.server.Close()
	}
	if a.names != nil {
		a.names.Close()
	}
}

// authorityCommand starts an authority that looks for proofs at the platform's
// own ports, and a name server whose zone test. leads there.
func authorityCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: authority start [SECONDS] | stop | again")
	}
	a := ts.Value("authority").(*authority)
	switch args[0] {
	case "start":
		ts.Check(os.MkdirAll(ts.MkAbs("records"), 0o755))
		names, err := acmetest.StartNames("127.0.0.1:0", ts.MkAbs("records"), "test.", "localhost.")
		ts.Check(err)
		a.names = names
		port, err := porttest.Free(1) // one that is nobody else's while the authority is away
		ts.Check(err)
		a.run(ts, "127.0.0.1:"+strconv.Itoa(port), args[1:])
		ts.Check(os.WriteFile(ts.MkAbs("dns.conf"), []byte(strings.Join([]string{
			"server = " + names.Address, "resolvers = " + names.Address, "key-name = " + acmetest.KeyName, "key = " + acmetest.Key, "",
		}, "\n")), 0o600))
		ts.Setenv("SLIPWAY_ACME_CA", a.server.Directory)
		ts.Setenv("SLIPWAY_ACME_CA_ROOT", ts.MkAbs("authority.pem"))
	case "stop":
		a.server.Close()
	case "again":
		a.run(ts, strings.TrimSuffix(strings.TrimPrefix(ts.Getenv("SLIPWAY_ACME_CA"), "https://"), "/dir"), args[1:])
	default:
		ts.Fatalf("authority %s: no such command", args[0])
	}
}

func (a *authority) run(ts *testscript.TestScript, address string, args []string) {
	plain, err := strconv.Atoi(ts.Getenv("HTTP_PORT"))
	ts.Check(err)
	secure, err := strconv.Atoi(ts.Getenv("HTTPS_PORT"))
	ts.Check(err)
	options := acmetest.Options{Address: address, HTTPPort: plain, TLSPort: secure, Names: a.names.Address}
	if len(args) == 1 {
		options.Seconds, err = strconv.ParseUint(args[0], 10, 32)
		ts.Check(err)
	}
	a.server, err = acmetest.Start(options)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs("authority.pem"), a.server.Roots, 0o644))
	a.roots = append(a.roots, a.server.Root()...) // one that starts anew signs with another
	ts.Check(os.WriteFile(filepath.Join(ts.Getenv("WORK"), "issued-by.pem"), a.roots, 0o644))
}

// secureCommand asks a host by HTTPS until its certificate is one that the
// authority signed; the answer is on stdout. With ! it asks until it is none.
func secureCommand(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] secure HOST")
	}
	host, edge := args[0], ts.Getenv("SLIPWAY_HTTPS")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(ts.ReadFile("issued-by.pem")))
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", edge)
		},
	}}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		res, err := client.Get("https://" + host + "/")
		var text []byte
		if err == nil {
			text, _ = io.ReadAll(res.Body)
			res.Body.Close()
		}
		if another := errors.As(err, new(*tls.CertificateVerificationError)); neg && another || !neg && err == nil {
			_, _ = ts.Stdout().Write(text)
			return
		}
		if time.Now().After(deadline) {
			ts.Value("platform").(*daemon).tell(ts)
			ts.Fatalf("%s: %v", host, err)
		}
	}
}
