package platform_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	cryptorand "crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

func TestATeamsWordWinsOverTheOperators(t *testing.T) {
	defaults := parse(t, `{"timeouts":{"answer":"1m","idle":"1h"},"max_body":"1M","compress":["gzip"],"hsts":{"max_age":"1y"},
		"headers":{"X-A":"theirs","X-B":"theirs"},"pages":{"5xx":"theirs"},"deny":["192.0.2.0/24"]}`)
	kept := parse(t, `{"timeouts":{"answer":"1m","idle":"1h"},"headers":{"X-A":"theirs","X-B":"theirs"}}`)
	edge := parse(t, `{"timeouts":{"answer":"5s"},"compress":["identity"],"hsts":{"max_age":0},"headers":{"X-A":"ours"},"deny":["10.0.0.0/8"]}`)
	want := platform.Edge{
		Timeouts: platform.EdgeTimeouts{Answer: 5 * time.Second, Idle: time.Hour}, MaxBody: 1 << 20, HSTS: &platform.HSTS{},
		Headers: map[string]string{"X-A": "ours", "X-B": "theirs"}, Pages: map[string]string{"5xx": "theirs"},
		Deny: []string{"10.0.0.0/8", "192.0.2.0/24"},
	}
	if got := edge.Over(defaults); !platform.Same(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	if !platform.Same(defaults.Timeouts, kept.Timeouts) || !platform.Same(defaults.Headers, kept.Headers) || edge.Headers["X-B"] != "" {
		t.Error("what was laid over or under something changed")
	}
	if got := (platform.Edge{}).Over(defaults); !platform.Same(got, defaults) {
		t.Errorf("over nothing set: %+v", got)
	}
}

func TestOverNothingAnEdgeStays(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		var edge platform.Edge
		some(r, reflect.ValueOf(&edge).Elem(), 0)
		if edge = edge.Tidy(); reflect.DeepEqual(edge.Compress, []string{"identity"}) {
			continue
		}
		if got := edge.Over(platform.Edge{}); !platform.Same(got, edge) {
			t.Fatalf("%+v\nbecame %+v", edge, got)
		}
		if got := edge.Over(edge); !platform.Same(got, edge) {
			t.Fatalf("%+v\nover itself is %+v", edge, got)
		}
	}
}

func TestAuthoritiesOfClientsAreTakenAsPEM(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(cryptorand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	words, _ := json.Marshal(map[string]any{"clients": map[string]any{"ca": text + text, "optional": true}})
	if edge := parse(t, string(words)); !edge.Clients.Optional || edge.Clients.CA != text+text {
		t.Errorf("read as %+v", edge.Clients)
	}
	words, _ = json.Marshal(map[string]any{"clients": map[string]any{"ca": text + "and more"}})
	if _, err := platform.ParseEdge(words); err == nil {
		t.Error("text behind the certificates is taken")
	}
}
