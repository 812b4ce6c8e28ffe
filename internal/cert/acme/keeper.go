package acme

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"golang.org/x/time/rate"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// Edge is where certificates and proofs are shown. Acked returns once every
// router shows what the version holds. Both are this process's own; routers of
// others hear of proofs through the store.
type Edge interface {
	SetCertificates(wish map[string]*platform.EdgeCertificate) (version int64, err error)
	Certificates() []string
	Acked(ctx context.Context, version int64) error
}

// What certificates are known by at the edge.
const (
	issuedPrefix = "acme/"
	proofPrefix  = "proof/"
)

// Options are what a Keeper is made with. The zero value of each field but the
// first stands for its default.
type Options struct {
	// Directory is the authority's address (RFC 8555, 7.1.1). Required.
	Directory string
	// Roots are PEM: whose certificate the authority's own must be signed by.
	// Default: the machine's.
	Roots []byte
	// Email is where the authority may write to. Default nobody.
	Email string
	// EABKey and EABSecret tie the account to one at the authority (7.3.4); the
	// second is base64url.
	EABKey, EABSecret string
	// Challenges are how names may be proven: http-01 and tls-alpn-01, which need
	// the routers to be reached at ports 80 and 443, and dns-01, which needs DNS.
	// Default the first two. Wildcards are proven by dns-01, whatever is here.
	Challenges []string
	// DNS proves names by their zone; nil: wildcards get no certificate.
	DNS acmez.Solver
	// Domain is the platform's: with DNS, one wildcard stands for the names right
	// below it.
	Domain string
	// OnDemand gets certificates for apps' names when a client first comes: see
	// Asked.
	OnDemand bool
	// Process names this process among those that share the store: what it held
	// when it was killed is free when it starts again. No slash. Default "slipway".
	Process string
	// Lease is how long others wait for what a process held that died. Default
	// 1 min: a process that lives loses it only when it cannot reach the store for
	// so long.
	Lease time.Duration
	// Check is the pause between two looks at whether a certificate is to be
	// renewed, of those that are over soon; the others are looked at more rarely.
	// Default 1 min.
	Check time.Duration
	// FirstPause and LastPause bound the pause after a failure, which doubles.
	// Default 1 min and 6 h. Shorter, and authorities refuse everything for a
	// while.
	FirstPause, LastPause time.Duration
}

const (
	// maxTurns is how many names are worked on at a time, of one user half of them;
	// turnTime is how long one may take: names that lead nowhere take the
	// authority's patience.
	maxTurns = 32
	turnTime = 10 * time.Minute
	// orderPause is the time between two orders, but for the first few: a platform
	// with ten thousand names shall not ask for all at once.
	orderPause = 500 * time.Millisecond
	orderBurst = 20
)

func (o Options) withDefaults() Options {
	orDefault(&o.Check, time.Minute)
	orDefault(&o.Lease, time.Minute)
	orDefault(&o.FirstPause, time.Minute)
	orDefault(&o.LastPause, 6*time.Hour)
	if len(o.Challenges) == 0 {
		o.Challenges = []string{"http-01", "tls-alpn-01"}
	}
	if o.Process == "" {
		o.Process = "slipway"
	}
	return o
}

func orDefault(field *time.Duration, value time.Duration) {
	if *field == 0 {
		*field = value
	}
}

// Keeper gets and keeps certificates. Safe for concurrent use.
type Keeper struct {
	log     *slog.Logger
	opt     Options
	edge    Edge
	storage *storage
	board   *board
	cache   *certmagic.Cache
	magic   *certmagic.Config
	demand  *rate.Limiter // of Asked

	life context.Context
	end  context.CancelFunc
	once sync.Once // of Close
	work sync.WaitGroup
	kick chan struct{} // holds a token when something may be due earlier

	mu       sync.Mutex
	subjects map[string]*subject
	agenda   agenda // those that are not due yet
	due      fair   // those that are
	working  int
	tenants  map[string]*tenant  // by user
	wants    map[string][]string // subjects by who wants them
}

// subject is what one certificate is for.
type subject struct {
	name    string
	wanted  map[string]bool // by whom
	tenant  *tenant
	at      int       // in the agenda, or in its tenant's line; out: it is worked on, or waits for a client
	queued  bool      // it is in the line
	rank    int       // there
	due     time.Time // of its next turn
	working bool
	again   bool // once more, right after the turn that is under way
	read    bool // what the store has of it is known
	demand  bool // got when a client first comes
	dormant bool // none came yet
	known   *issued
	failure failure
}

// issued is a certificate as it is served.
type issued struct {
	issuer  string
	expires time.Time
}

// New makes a Keeper; it does nothing before Start.
func New(log *slog.Logger, db *store.Store, edge Edge, opt Options) (*Keeper, error) {
	k := &Keeper{
		log: log, opt: opt.withDefaults(), edge: edge, kick: make(chan struct{}, 1), demand: rate.NewLimiter(rate.Every(6*time.Second), 10),
		subjects: map[string]*subject{}, tenants: map[string]*tenant{}, wants: map[string][]string{},
	}
	k.life, k.end = context.WithCancel(context.Background())
	k.storage = newStorage(log, db, k.opt.Process, k.opt.Lease)
	k.board = newBoard(log, k.storage, edge, k.opt.Process)
	logger := zapOf(log)
	k.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return k.magic, nil },
		RenewCheckInterval: k.opt.Check, OCSPCheckInterval: 24 * time.Hour, Logger: logger,
	})
	issuer, err := newAuthority(log, k.storage, k.solvers(), k.opt)
	if err != nil {
		k.cache.Stop()
		return nil, err
	}
	k.magic = certmagic.New(k.cache, certmagic.Config{
		Storage: k.storage, Issuers: []certmagic.Issuer{issuer}, Logger: logger,
		OCSP:      certmagic.OCSPConfig{DisableStapling: true}, // staple asks, and waits for no responder without end
		KeySource: certmagic.StandardKeyGenerator{KeyType: certmagic.P256},
	})
	return k, nil
}

// Start begins to get what is wanted. Certificates at the edge that nobody wants
// any more are taken away.
func (k *Keeper) Start(ctx context.Context) error {
	if err := k.storage.free(ctx); err != nil {
		return err
	}
	gone := map[string]*platform.EdgeCertificate{}
	k.mu.Lock()
	for _, name := range k.edge.Certificates() {
		subject, issued := strings.CutPrefix(name, issuedPrefix)
		if strings.HasPrefix(name, proofPrefix) || issued && k.subjects[subject] == nil {
			gone[name] = nil
		}
	}
	k.mu.Unlock()
	if len(gone) > 0 {
		if _, err := k.edge.SetCertificates(gone); err != nil {
			return err
		}
	}
	if err := k.board.open(ctx); err != nil {
		return err
	}
	k.work.Go(func() { k.board.follow(k.life, &k.work) })
	k.work.Go(k.run)
	k.work.Go(k.clean)
	return nil
}

// Close ends what is under way, and waits for it. What was begun at the
// authority is begun anew by the next.
func (k *Keeper) Close() {
	k.once.Do(func() {
		k.end()
		k.work.Wait()
		k.board.close()
		k.cache.Stop()
	})
}

// Want makes hosts all that owner wants certificates for: an app, or whoever
// speaks for the platform. Users take turns at the authority, by all of their
// apps. anew tries at once what failed.
func (k *Keeper) Want(owner, user string, hosts []string, anew bool) {
	k.mu.Lock()
	var gone []string
	next := k.subjectsFor(hosts)
	for _, name := range k.wants[owner] {
		if slices.Contains(next, name) {
			continue
		}
		s := k.subjects[name]
		if delete(s.wanted, owner); len(s.wanted) == 0 {
			delete(k.subjects, name)
			k.drop(s)
			gone = append(gone, name)
		}
	}
	for _, name := range next {
		k.want(name, owner, user, anew)
	}
	if k.wants[owner] = next; len(next) == 0 {
		delete(k.wants, owner)
	}
	k.withdraw(gone)
	k.mu.Unlock()
	k.hurry()
}

// want adds an owner to a subject; k.mu is held.
func (k *Keeper) want(name, owner, user string, anew bool) {
	s := k.subjects[name]
	if s == nil {
		s = &subject{name: name, wanted: map[string]bool{}, at: out, demand: k.opt.OnDemand, dormant: k.opt.OnDemand}
		k.subjects[name] = s
		s.tenant = k.tenant(user)
		k.plan(s, time.Now())
	}
	s.wanted[owner] = true
	if owner == "" || !s.wanted[""] {
		k.give(s, k.tenant(user))
	}
	if owner == "" {
		s.demand = false
		k.wake(s)
	}
	if anew && !s.dormant && (s.failure.Problem != "" || s.working) {
		s.failure = failure{forced: true}
		if s.again = s.working; !s.working {
			k.plan(s, time.Now())
		}
	}
}

// tenant is a user's; k.mu is held.
func (k *Keeper) tenant(user string) *tenant {
	t := k.tenants[user]
	if t == nil {
		t = &tenant{}
		k.tenants[user] = t
	}
	return t
}

// give makes a subject another tenant's; k.mu is held.
func (k *Keeper) give(s *subject, t *tenant) {
	if s.tenant == t {
		return
	}
	waits := s.at != out
	k.drop(s)
	if s.tenant = t; waits {
		k.agenda.plan(s, s.due)
	}
}

// plan gives a subject that is not worked on its next turn; k.mu is held.
func (k *Keeper) plan(s *subject, due time.Time) {
	k.drop(s)
	k.agenda.plan(s, due)
}

// drop has it wait for none; k.mu is held.
func (k *Keeper) drop(s *subject) {
	if s.queued {
		k.due.drop(s)
		return
	}
	k.agenda.drop(s)
}

// wake gives a subject that waits for a client its turn; the store is looked up
// once more, for others may have got its certificate. k.mu is held.
func (k *Keeper) wake(s *subject) {
	if !s.dormant {
		return
	}
	if s.dormant = false; !s.working {
		s.read = false
		k.plan(s, time.Now())
	}
}

// withdraw takes certificates that nobody wants off the edge. They stay in the
// store: who comes back with the name finds them. k.mu is held.
func (k *Keeper) withdraw(names []string) {
	if len(names) == 0 {
		return
	}
	gone := map[string]*platform.EdgeCertificate{}
	for _, name := range names {
		gone[issuedPrefix+name] = nil
	}
	if _, err := k.edge.SetCertificates(gone); err != nil {
		k.log.Warn("certificates stayed at the edge", "err", err)
	}
}

// subjectsFor are what certificates for hosts are for, each once and in order.
func (k *Keeper) subjectsFor(hosts []string) (names []string) {
	for _, host := range hosts {
		names = append(names, k.subjectFor(host))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (k *Keeper) subjectFor(host string) string {
	label, under := strings.CutSuffix(host, "."+k.opt.Domain)
	if k.opt.DNS != nil && under && label != "" && !strings.Contains(label, ".") {
		return "*." + k.opt.Domain
	}
	return host
}

// Asked says that a client came for hosts. Those that nobody wants a certificate
// for get none, and of the others only so many in a time: the rest waits.
func (k *Keeper) Asked(hosts []string) {
	k.mu.Lock()
	for _, host := range hosts {
		if s := k.subjects[k.subjectFor(host)]; s != nil {
			k.wake(s)
		}
	}
	k.mu.Unlock()
	k.hurry()
}

// State says how it stands with the certificate for a host; false: none is
// wanted.
func (k *Keeper) State(host string) (platform.HostCertificate, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.subjects[k.subjectFor(host)]
	if s == nil {
		return platform.HostCertificate{}, false
	}
	return s.state(host, time.Now()), true
}

func (s *subject) state(host string, now time.Time) platform.HostCertificate {
	c := platform.HostCertificate{Host: host, Source: platform.SourceNone, Name: s.name}
	if s.known != nil {
		c.Source, c.Issuer, c.Expires = platform.SourceAutomatic, s.known.issuer, s.known.expires
	}
	c.Problem, c.Attempts = s.failure.Problem, s.failure.Attempts
	switch {
	case c.Problem != "":
		c.NextTry = s.due
	case s.known == nil && s.dormant:
		c.Waiting = "it is got when a client first comes"
	case s.known == nil && s.tenant.may(now) > 0:
		c.Waiting = "it waits, because many domains of the app's owner failed lately"
	case s.known == nil:
		c.Waiting = "it is on its way"
	}
	return c
}

// Failing are the subjects that could not be had or renewed, by name.
func (k *Keeper) Failing() (failing []platform.HostCertificate) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, s := range k.subjects {
		if s.failure.Problem != "" {
			failing = append(failing, s.state(name, time.Now()))
		}
	}
	slices.SortFunc(failing, func(a, b platform.HostCertificate) int { return strings.Compare(a.Host, b.Host) })
	return failing
}

func (k *Keeper) hurry() {
	select {
	case k.kick <- struct{}{}:
	default:
	}
}
