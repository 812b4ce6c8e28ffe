package acme_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/cert/acme"
	"github.com/slipway-paas/slipway/internal/cert/acme/acmetest"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/postgrestest"
	"github.com/slipway-paas/slipway/internal/router"
	"github.com/slipway-paas/slipway/internal/secret"
	"github.com/slipway-paas/slipway/internal/store"
)

var server postgrestest.Server

func TestMain(m *testing.M) {
	orderForEver()
	code := m.Run()
	server.Stop()
	os.Exit(code)
}

// on is the place with its store in a PostgreSQL of its own.
func (p *place) onPostgres() *place {
	p.Helper()
	p.url = server.Database(p)
	p.db = must(store.Open(p.Context(), slog.New(slog.DiscardHandler), p.url, p.ring))(p)
	p.Cleanup(func() { p.db.Close() })
	return p
}

// elsewhere is the edge of another control plane on the place's store: a router
// of its own, to which no name leads.
type elsewhere struct {
	*place
	acked func(ctx context.Context) error
}

func (p *place) elsewhere() *elsewhere {
	p.Helper()
	e := &elsewhere{place: &place{
		T: p.T, held: map[string]platform.EdgeCertificate{}, news: make(chan struct{}),
		router: router.New(slog.New(slog.DiscardHandler), router.Options{}), db: p.db, ring: p.ring, authority: p.authority,
	}}
	p.Cleanup(e.router.Close)
	return e
}

func (e *elsewhere) Acked(ctx context.Context, _ int64) error {
	if e.acked == nil {
		return nil
	}
	return e.acked(ctx)
}

// plane is a keeper of a process of its own.
func (p *place) plane(name string, edge acme.Edge, challenge string) *acme.Keeper {
	p.Helper()
	o := p.options()
	o.Process, o.Challenges = name, []string{challenge}
	k := must(acme.New(slog.New(slog.DiscardHandler), p.db, edge, o))(p)
	p.Cleanup(k.Close)
	if err := k.Start(p.Context()); err != nil {
		p.Fatal(err)
	}
	return k
}

func (p *place) proofs() (names []string) {
	for _, name := range p.Certificates() {
		if strings.HasPrefix(name, "proof/") {
			names = append(names, name)
		}
	}
	return names
}

func TestAProofIsShownByTheRoutersOfEveryControlPlane(t *testing.T) {
	for _, challenge := range []string{"http-01", "tls-alpn-01"} {
		t.Run(challenge, func(t *testing.T) {
			p := newPlace(t, acmetest.Options{}).onPostgres() // where the authority looks
			other := p.elsewhere()
			p.plane("asked", p, challenge)
			orders := p.plane("orders", other, challenge)
			orders.Want("blog", "ann", []string{"blog.test", "shop.test"}, false)
			other.until("both are got", func() bool {
				blog, _ := orders.State("blog.test")
				shop, _ := orders.State("shop.test")
				if problem := blog.Problem + shop.Problem; problem != "" {
					t.Fatal(problem) // the authority looked where nothing was shown yet
				}
				return blog.Source == platform.SourceAutomatic && shop.Source == platform.SourceAutomatic
			})
			p.until("no proof is left", func() bool { return len(p.proofs()) == 0 })
			if left := other.proofs(); len(left) > 0 {
				t.Errorf("who ordered still shows %v", left)
			}
			if files := p.files("proofs"); len(files) > 0 {
				t.Errorf("in the store are left %v", files)
			}
		})
	}
}

// files names what is in the store below a path.
func (p *place) files(path string) (names []string) {
	p.Helper()
	err := p.db.Read(p.Context(), func(tx *store.Tx) error {
		files, err := tx.ACMEFiles(path)
		for _, f := range files {
			names = append(names, f.Name)
		}
		return err
	})
	if err != nil {
		p.Fatal(err)
	}
	return names
}

func TestTheAuthorityIsToldToLookOnceEveryControlPlaneShowsTheProof(t *testing.T) {
	p := newPlace(t, acmetest.Options{}).onPostgres()
	other := p.elsewhere()
	var told atomic.Bool
	p.authority.Refuse(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/chalZ/") {
			told.Store(true)
		}
		return false
	})
	var shown, early atomic.Bool
	other.acked = func(context.Context) error {
		shown.Store(true)
		early.Store(told.Load())
		return nil
	}
	p.plane("slow", other, "http-01")
	p.plane("orders", p, "http-01").Want("blog", "ann", []string{"blog.test"}, false)
	p.issued("blog.test")
	if !told.Load() || !shown.Load() || early.Load() {
		t.Errorf("the authority was told: %t; the other showed it: %t, after that: %t", told.Load(), shown.Load(), early.Load())
	}
}

func TestAControlPlaneWhoseRoutersCannotShowAProofHindersNoOther(t *testing.T) {
	p := newPlace(t, acmetest.Options{}).onPostgres()
	other := p.elsewhere()
	other.acked = func(context.Context) error { return platform.ErrUnavailable }
	p.plane("alone", other, "http-01")
	p.plane("orders", p, "http-01").Want("blog", "ann", []string{"blog.test"}, false)
	p.issued("blog.test")
}

func TestOfTwoControlPlanesOneOrders(t *testing.T) {
	p := newPlace(t, acmetest.Options{}).onPostgres()
	other := p.elsewhere()
	hosts := []string{"a.test", "b.test", "c.test", "d.test"}
	first, second := p.plane("first", p, "http-01"), p.plane("second", other, "http-01")
	p.orderedOnce(first, second, hosts)
}

// child is what a process is told that orders until it is killed.
type child struct {
	URL, Key, Directory, Host string
	Roots                     []byte
}

const childVariable = "SLIPWAY_TEST_ORDERS"

// deaf is an edge that never shows anything: the process is killed there.
type deaf struct{}

func (deaf) SetCertificates(map[string]*platform.EdgeCertificate) (int64, error) { return 1, nil }
func (deaf) Certificates() []string                                              { return nil }
func (deaf) Acked(context.Context, int64) error                                  { select {} }

// orderForEver is the whole of such a process; of any other it is nothing.
func orderForEver() {
	text, is := os.LookupEnv(childVariable)
	if !is {
		return
	}
	die := func(err error) {
		if err != nil {
			_, _ = io.WriteString(os.Stderr, err.Error())
			os.Exit(1)
		}
	}
	var c child
	die(json.Unmarshal([]byte(text), &c))
	ring, err := secret.OpenFile(c.Key)
	die(err)
	log := slog.New(slog.DiscardHandler)
	db, err := store.Open(context.Background(), log, c.URL, ring)
	die(err)
	k, err := acme.New(log, db, deaf{}, acme.Options{Directory: c.Directory, Roots: c.Roots, Process: "dies", Lease: 5 * time.Second, Challenges: []string{"http-01"}})
	die(err)
	die(k.Start(context.Background()))
	k.Want("blog", "ann", []string{c.Host}, false)
	select {}
}

func TestAControlPlaneThatIsKilledInTheMiddleOfAnOrderLeavesItToAnother(t *testing.T) {
	p := newPlace(t, acmetest.Options{})
	key := t.TempDir() + "/key"
	p.ring = must(secret.OpenFile(key))(t)
	p.onPostgres()
	k := p.plane("lives", p, "http-01")
	program := must(os.Executable())(t)
	cmd := exec.Command(program)
	told := must(json.Marshal(child{p.url, key, p.authority.Directory, "blog.test", p.authority.Roots}))(t)
	cmd.Env = append(os.Environ(), childVariable+"="+string(told))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	defer kill()
	p.until("its proof is shown here too", func() bool {
		return slices.ContainsFunc(p.proofs(), func(name string) bool { return strings.HasPrefix(name, "proof/dies/http-01/") })
	})
	k.Want("blog", "ann", []string{"blog.test"}, false)
	kill()
	p.issued("blog.test")
	if state, _ := k.State("blog.test"); state.Problem != "" || p.authority.Orders() != 2 {
		t.Errorf("after %d orders: %+v", p.authority.Orders(), state)
	}
	p.until("what it began is gone", func() bool { return len(p.proofs()) == 0 && len(p.files("proofs")) == 0 })
}
