package cert

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

func made(t *testing.T, dir, domain string, now time.Time, hosts ...string) platform.EdgeCertificate {
	t.Helper()
	c, err := selfSigned(dir, domain, hosts, now)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// trusts checks the certificate as a client would that trusts the authority.
func trusts(t *testing.T, dir string, c platform.EdgeCertificate, host string) error {
	t.Helper()
	file, err := os.ReadFile(CAFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(file) {
		t.Fatal("the authority's file holds no certificate")
	}
	p, err := tls.X509KeyPair([]byte(c.Certificate), []byte(c.Key))
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots})
	return err
}

func TestWhoeverTrustsTheAuthorityTrustsTheDomainAndWhatIsUnderIt(t *testing.T) {
	dir := t.TempDir()
	c, err := SelfSigned(dir, "Apps.Example.com.")
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"apps.example.com", "blog.apps.example.com"} {
		if err := trusts(t, dir, c, host); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
	if trusts(t, dir, c, "example.com") == nil {
		t.Error("another domain is covered")
	}
	if want := []string{"apps.example.com", "*.apps.example.com"}; !slices.Equal(c.Hosts, want) {
		t.Errorf("hosts %v, want %v", c.Hosts, want)
	}
}

func TestTheAuthorityCannotVouchForOtherDomains(t *testing.T) {
	dir := t.TempDir()
	made(t, dir, "localhost", time.Now())
	ca, err := load(filepath.Join(dir, "ca-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	forged, err := issue(&x509.Certificate{NotAfter: now.Add(time.Hour), DNSNames: []string{"bank.example"}}, ca, now)
	if err != nil {
		t.Fatal(err)
	}
	c := platform.EdgeCertificate{Certificate: string(forged.certificate), Key: string(forged.key)}
	if trusts(t, dir, c, "bank.example") == nil {
		t.Error("a certificate for another domain is trusted")
	}
}

func TestTheSameCertificateIsKept(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	first := made(t, dir, "localhost", now)
	if second := made(t, dir, "localhost", now.Add(59*24*time.Hour)); second.Certificate != first.Certificate {
		t.Error("a new certificate was made without need")
	}
}

func TestACertificateNearItsEndIsReplacedByTheSameAuthority(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	first := made(t, dir, "localhost", now)
	ca, _ := os.ReadFile(CAFile(dir))
	second := made(t, dir, "localhost", now.Add(61*24*time.Hour))
	if second.Certificate == first.Certificate {
		t.Error("the certificate was kept")
	}
	if again, _ := os.ReadFile(CAFile(dir)); string(again) != string(ca) {
		t.Error("the authority was replaced")
	}
}

func TestAnAuthorityNearItsEndOrForAnotherDomainIsReplaced(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	made(t, dir, "localhost", now)
	c := made(t, dir, "example.com", now)
	if err := trusts(t, dir, c, "a.example.com"); err != nil {
		t.Error(err)
	}
	old, _ := os.ReadFile(CAFile(dir))
	made(t, dir, "example.com", now.Add(caLife-24*time.Hour))
	if again, _ := os.ReadFile(CAFile(dir)); string(again) == string(old) {
		t.Error("an ending authority was kept")
	}
}

func TestKeysAreForTheirOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "certs")
	made(t, dir, "localhost", time.Now())
	for name, want := range map[string]os.FileMode{"ca-key.pem": 0o600, "edge.pem": 0o600, "ca.pem": 0o644} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	public, _ := os.ReadFile(CAFile(dir))
	if strings.Contains(string(public), "PRIVATE") {
		t.Error("the authority's public file holds its key")
	}
	left, _ := filepath.Glob(filepath.Join(dir, ".*"))
	if len(left) > 0 {
		t.Errorf("drafts were left: %v", left)
	}
}

func TestADamagedAuthorityIsNamed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ca-key.pem")
	if err := os.WriteFile(path, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := SelfSigned(dir, "localhost"); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func TestADamagedCertificateIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	made(t, dir, "localhost", time.Now())
	if err := os.WriteFile(filepath.Join(dir, "edge.pem"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := trusts(t, dir, made(t, dir, "localhost", time.Now()), "localhost"); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNoDomainIsRefused(t *testing.T) {
	for _, domain := range []string{"", "*.x", "10.0.0.1", "::1", "a/b", "a b"} {
		if _, err := SelfSigned(t.TempDir(), domain); !errors.Is(err, platform.ErrInvalid) {
			t.Errorf("%q: %v", domain, err)
		}
	}
}

func TestProcessesThatStartTogetherShareOneAuthority(t *testing.T) {
	dir := t.TempDir()
	certificates := make([]platform.EdgeCertificate, 8)
	var all sync.WaitGroup
	for i := range certificates {
		all.Go(func() { certificates[i], _ = SelfSigned(dir, "localhost") })
	}
	all.Wait()
	for _, c := range certificates {
		if err := trusts(t, dir, c, "localhost"); err != nil {
			t.Error(err)
		}
	}
}

func TestCurlAcceptsAHostOfASingleLabelDomain(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed")
	}
	dir := t.TempDir()
	c := made(t, dir, "localhost", time.Now(), "blog.localhost", "elsewhere.example")
	p, err := tls.X509KeyPair([]byte(c.Certificate), []byte(c.Key))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{p}}
	s.StartTLS()
	defer s.Close()
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	out, err := exec.Command(curl, "-sS", "--noproxy", "*", "--max-time", "5", "--cacert", CAFile(dir),
		"--resolve", "blog.localhost:"+port+":127.0.0.1", "https://blog.localhost:"+port+"/").CombinedOutput()
	if err != nil || string(out) != "ok" {
		t.Errorf("curl: %v %s", err, out)
	}
}
