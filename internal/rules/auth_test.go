package rules_test

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/h1"
	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/rules"
)

// hashes are made once: they are slow on purpose.
var hashes = sync.OnceValue(func() map[string]string {
	made := map[string]string{}
	for _, password := range []string{"open sesame", "tüpfel:hyäne", "another one"} {
		made[password], _ = platform.HashPassword(password)
	}
	return made
})

// door is an app that asks for a password.
type door struct {
	t      testing.TB
	rules  *rules.Rules
	proofs *rules.Proofs
	now    time.Duration
	client netip.Addr
	proved int // how often a proof was asked for
}

func newDoor(t testing.TB, users map[string]string) *door {
	t.Helper()
	return &door{
		t: t, proofs: rules.NewProofs(), client: client,
		rules: compile(t, platform.Edge{Auth: &platform.BasicAuth{Realm: `the "door"`, Users: users}}),
	}
}

func (d *door) knock(lines ...string) rules.Refusal {
	d.t.Helper()
	req := request(d.t, append([]string{"GET / HTTP/1.1"}, lines...)...)
	v := &rules.Visit{Client: d.client}
	refusal := d.rules.Refuse(req, v, d.proofs, d.now)
	if refusal.Prove {
		d.proved++
		d.proofs.Prove(nil, d.rules, req, v, func() time.Duration { return d.now })
		refusal = d.rules.Refuse(req, v, d.proofs, d.now)
	}
	if refusal.Prove {
		d.t.Error("a proof proved nothing")
	}
	return refusal
}

func credentials(name, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

func TestOnlyThoseWithAPasswordComeIn(t *testing.T) {
	d := newDoor(t, map[string]string{"ann": hashes()["open sesame"], "björn": hashes()["tüpfel:hyäne"]})
	right := credentials("ann", "open sesame")
	for name, c := range map[string]struct {
		lines string
		in    bool
	}{
		"right":               {right, true},
		"any case of scheme":  {strings.Replace(right, "Basic", "bASIC", 1), true}, // RFC 9110, 11.1
		"more spaces":         {strings.Replace(right, "Basic", "Basic  ", 1), true},
		"UTF-8 and a colon":   {credentials("björn", "tüpfel:hyäne"), true}, // RFC 7617, 2.1
		"none":                {"X: y", false},
		"wrong password":      {credentials("ann", "open sesamE"), false},
		"of another":          {credentials("björn", "open sesame"), false},
		"nobody's name":       {credentials("eve", "open sesame"), false},
		"no colon":            {"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("ann")), false},
		"control characters":  {credentials("ann", "open sesame\n"), false},
		"no base64":           {"Authorization: Basic ????", false},
		"another scheme":      {"Authorization: Bearer " + right[len("Authorization: Basic "):], false},
		"empty":               {"Authorization: Basic ", false},
		"twice":               {right + "|" + right, false},
		"too long":            {credentials("ann", strings.Repeat("x", 2000)), false},
		"the hash as it is":   {credentials("ann", hashes()["open sesame"]), false},
		"trailing bits in it": {"Authorization: Basic YW5uOm9wZW4gc2VzYW1lx=", false},
	} {
		t.Run(name, func(t *testing.T) {
			d.t, d.proofs = t, rules.NewProofs()
			got := d.knock(strings.Split(c.lines, "|")...)
			if c.in && got != (rules.Refusal{}) {
				t.Errorf("refused: %+v", got)
			}
			if !c.in && (got.Status != 401 || got.Challenge != `Basic realm="the \"door\"", charset="UTF-8"`) {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestAUserWithoutAUsableHashLeavesTheDoorShut(t *testing.T) {
	r, wrong := rules.Compile(platform.Edge{Auth: &platform.BasicAuth{Users: map[string]string{"ann": "open sesame", "bob": ""}}}, nil)
	d := &door{t: t, rules: r, proofs: rules.NewProofs()}
	for _, password := range []string{"open sesame", ""} {
		if got := d.knock(credentials("ann", password)); got.Status != 401 || len(wrong) != 2 {
			t.Errorf("%+v, %v", got, wrong)
		}
	}
}

func TestAPasswordIsProvenOnceInAWhile(t *testing.T) {
	d := newDoor(t, map[string]string{"ann": hashes()["open sesame"]})
	for range 3 {
		d.knock(credentials("ann", "open sesame"))
		d.knock(credentials("ann", "guess"))
	}
	if d.proved != 2 {
		t.Errorf("%d proofs of two different ones", d.proved)
	}
	d.now += time.Hour
	d.knock(credentials("ann", "open sesame"))
	if d.proved != 3 {
		t.Error("it is believed for ever")
	}
}

func TestAPasswordThatWasChangedIsForgotten(t *testing.T) {
	d := newDoor(t, map[string]string{"ann": hashes()["open sesame"]})
	d.knock(credentials("ann", "open sesame"))
	d.rules = compile(t, platform.Edge{Auth: &platform.BasicAuth{Users: map[string]string{"ann": hashes()["another one"]}}})
	if got := d.knock(credentials("ann", "open sesame")); got.Status != 401 {
		t.Errorf("the old one lets in: %+v", got)
	}
	if got := d.knock(credentials("ann", "another one")); got != (rules.Refusal{}) {
		t.Errorf("the new one does not: %+v", got)
	}
}

func TestWhatOneAppProvedIsNothingToAnother(t *testing.T) {
	d := newDoor(t, map[string]string{"ann": hashes()["open sesame"]})
	d.knock(credentials("ann", "open sesame"))
	d.rules = compile(t, platform.Edge{Auth: &platform.BasicAuth{Users: map[string]string{"bob": hashes()["open sesame"]}}})
	if got := d.knock(credentials("ann", "open sesame")); got.Status != 401 {
		t.Errorf("%+v", got)
	}
}

func TestWhoGuessesIsSlowedDownAndNobodyElse(t *testing.T) {
	d := newDoor(t, map[string]string{"ann": hashes()["open sesame"]})
	guess := func() int { return d.knock(credentials("ann", "guess"+string(rune('a'+d.proved)))).Status }
	wrong := 0
	for guess() == 401 {
		if wrong++; wrong > 20 {
			t.Fatal("guesses are never refused")
		}
	}
	if got := guess(); got != 429 {
		t.Errorf("%d after that", got)
	}
	if got := d.knock(credentials("ann", "another guess")); got.Retry == 0 {
		t.Errorf("it is not said when to come again: %+v", got)
	}
	d.client = netip.MustParseAddr("192.0.2.77")
	if got := d.knock(credentials("ann", "open sesame")); got != (rules.Refusal{}) {
		t.Errorf("another client: %+v", got)
	}
	d.client = client
	if got := d.knock(credentials("ann", "open sesame")); got != (rules.Refusal{}) {
		t.Errorf("who is known is not asked: %+v", got)
	}
	d.now += time.Minute
	if got := guess(); got != 401 {
		t.Errorf("a minute later: %d", got)
	}
}

func TestManyWithOnePasswordWaitForOneProof(t *testing.T) {
	d := newDoor(t, map[string]string{"ann": hashes()["open sesame"]})
	var all sync.WaitGroup
	for range 50 { // more than a client may have wrong
		all.Go(func() {
			one := *d
			if got := one.knock(credentials("ann", "open sesame")); got != (rules.Refusal{}) {
				t.Errorf("%+v", got)
			}
		})
	}
	all.Wait()
}

func TestAClientThatLeftIsNotWaitedFor(t *testing.T) {
	d := newDoor(t, map[string]string{"ann": hashes()["open sesame"]})
	gone := make(chan struct{})
	close(gone)
	req, v := request(t, "GET / HTTP/1.1", credentials("ann", "open sesame")), &rules.Visit{Client: client}
	// Both ends are ready: whichever is taken, nobody hangs and nothing wrong is learnt.
	d.proofs.Prove(gone, d.rules, req, v, func() time.Duration { return 0 })
	if got := d.knock(credentials("ann", "open sesame")); got != (rules.Refusal{}) {
		t.Errorf("%+v", got)
	}
}

func TestThePasswordIsForTheRouter(t *testing.T) {
	req := request(t, "GET / HTTP/1.1", credentials("ann", "open sesame"))
	var told rules.Told
	told.Set(newDoor(t, nil).rules, req, []byte("id"))
	for _, name := range []string{"Authorization", "AUTHORIZATION", "authorization"} {
		if !told.Drop([]byte(name)) {
			t.Errorf("the app is told %s", name)
		}
	}
	told.Set(nil, req, []byte("id"))
	if told.Drop([]byte("Authorization")) {
		t.Error("an app that asks by itself is not told the answer")
	}
}

func FuzzAuthorization(f *testing.F) {
	f.Add([]byte("Basic YW5uOm9wZW4gc2VzYW1l"))
	f.Add([]byte("basic  Og=="))
	f.Add([]byte("Bearer x"))
	r, _ := rules.Compile(platform.Edge{Auth: &platform.BasicAuth{}}, nil) // nobody is let in, and nothing hashed
	f.Fuzz(func(t *testing.T, value []byte) {
		req := &h1.Request{}
		req.Fields = []h1.Field{{Name: []byte("Authorization"), Value: value}}
		d := &door{t: t, rules: r, proofs: rules.NewProofs()}
		v := &rules.Visit{Client: client}
		refusal := r.Refuse(req, v, d.proofs, 0)
		if refusal.Prove {
			d.proofs.Prove(nil, r, req, v, func() time.Duration { return 0 })
			refusal = r.Refuse(req, v, d.proofs, 0)
		}
		if refusal.Status != 401 {
			t.Fatalf("%q: %+v", value, refusal)
		}
	})
}

func BenchmarkKnown(b *testing.B) {
	d := newDoor(b, map[string]string{"ann": hashes()["open sesame"]})
	d.knock(credentials("ann", "open sesame"))
	req, v := request(b, "GET / HTTP/1.1", credentials("ann", "open sesame")), &rules.Visit{Client: client}
	b.ReportAllocs()
	for b.Loop() {
		d.rules.Refuse(req, v, d.proofs, 0)
	}
}
