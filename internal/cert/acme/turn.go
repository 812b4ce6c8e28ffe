package acme

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/slipway-paas/slipway/internal/platform"
)

// run gives every subject its turn when it is due, some at a time.
func (k *Keeper) run() {
	for {
		s, t, pause := k.next()
		if s == nil {
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-k.kick:
			case <-k.life.Done():
				return
			}
			timer.Stop()
			continue
		}
		if k.life.Err() != nil {
			return
		}
		k.work.Go(func() {
			defer k.free(t)
			k.turn(s)
		})
	}
}

// next is a subject that is due, and is then worked on for a tenant; else how
// long there is none.
func (k *Keeper) next() (*subject, *tenant, time.Duration) {
	now := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	s, pause := k.agenda.next(now)
	for ; s != nil; s, pause = k.agenda.next(now) {
		k.due.add(s)
	}
	s, left := k.due.take(now, maxTurns-k.working, func(s *subject) time.Duration { return k.onDemand(s, now) })
	if s == nil {
		return nil, nil, max(min(pause, left), time.Millisecond)
	}
	s.working = true
	s.tenant.working++
	k.working++
	return s, s.tenant, 0
}

// onDemand is how long a subject waits that is got when a client comes: there are
// only so many in a time.
func (k *Keeper) onDemand(s *subject, now time.Time) time.Duration {
	if !s.demand || s.known != nil {
		return 0
	}
	token := k.demand.ReserveN(now, 1)
	left := token.DelayFrom(now)
	if left > 0 {
		token.CancelAt(now)
	}
	return left
}

// free gives back a turn of a tenant's.
func (k *Keeper) free(t *tenant) {
	k.mu.Lock()
	k.working--
	t.working--
	k.mu.Unlock()
	k.hurry()
}

// turn brings one subject's certificate to where it should be.
func (k *Keeper) turn(s *subject) {
	ctx, cancel := context.WithTimeout(k.life, turnTime)
	defer cancel()
	k.mu.Lock()
	read, before := s.read, s.failure
	k.mu.Unlock()
	if !read || before.Attempts == 0 && !before.forced && k.recall(ctx, s.name).waits() {
		k.look(ctx, s)
		return
	}
	cert, err := k.bring(ctx, s.name)
	if k.life.Err() != nil {
		return
	}
	after := failure{}
	due := k.later(cert)
	if err != nil {
		after = before.again(err, k.opt)
		due = after.Next
		k.log.Warn("certificate was not got", "domain", s.name, "err", after.Problem, "attempts", after.Attempts, "next", after.Next)
	}
	k.remember(ctx, s.name, before, after)
	k.settle(s, err)
	k.put(s, cert, after, due)
}

// look finds what the store has of a subject: that is no matter of the
// authority's. What an earlier process tried, or another has meanwhile, is not
// tried before it is time.
func (k *Keeper) look(ctx context.Context, s *subject) {
	cert, kept := k.stored(ctx, s.name), k.recall(ctx, s.name)
	due := time.Now()
	switch {
	case kept.waits():
		due = kept.Next
	case cert != nil && kept.Problem == "" && !cert.NeedsRenewal(k.magic):
		due = k.later(cert)
	}
	k.put(s, cert, kept, due)
}

// settle has a first certificate count for its tenant, or against it where the
// name is to blame.
func (k *Keeper) settle(s *subject, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	failed := blames(err)
	if failed || err == nil && s.known == nil {
		s.tenant.settle(time.Now(), failed)
	}
}

// bring loads, gets or renews a certificate, whatever is needed. With an error
// may come the certificate as it was.
func (k *Keeper) bring(ctx context.Context, name string) (*certmagic.Certificate, error) {
	if strings.HasPrefix(name, "*.") && k.opt.DNS == nil {
		return k.stored(ctx, name), errNoDNS
	}
	if strings.Contains(k.opt.Directory, ".letsencrypt.org/") && !certmagic.SubjectQualifiesForPublicCert(name) {
		return k.stored(ctx, name), errNotPublic
	}
	err := k.magic.ManageSync(ctx, []string{name})
	return k.take(name), err
}

// stored is the certificate that is in the store already, or nil.
func (k *Keeper) stored(ctx context.Context, name string) *certmagic.Certificate {
	if _, err := k.magic.CacheManagedCertificate(ctx, name); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			k.log.Warn("a stored certificate cannot be read", "domain", name, "err", err)
		}
		return nil
	}
	return k.take(name)
}

// take takes a certificate out of certmagic's cache, which holds each for the
// time of its turn alone: serving is the routers', and so is room for many.
func (k *Keeper) take(name string) (found *certmagic.Certificate) {
	var hashes []string
	for _, cert := range k.cache.AllMatchingCertificates(name) {
		if len(cert.Names) > 0 && cert.Names[0] == name {
			hashes = append(hashes, cert.Hash())
			if found == nil || cert.Leaf.NotAfter.After(found.Leaf.NotAfter) {
				found = &cert
			}
		}
	}
	k.cache.Remove(hashes)
	return found
}

// later is when a certificate is looked at again.
func (k *Keeper) later(cert *certmagic.Certificate) time.Time {
	if cert == nil {
		return time.Now().Add(k.opt.Check)
	}
	pause := min(max(cert.Lifetime()/200, k.opt.Check), 6*time.Hour)
	return time.Now().Add(pause - rand.N(pause/4))
}

// put ends a turn: the certificate goes to the routers, and what came of it is
// known.
func (k *Keeper) put(s *subject, cert *certmagic.Certificate, came failure, due time.Time) {
	var wish *platform.EdgeCertificate
	if cert != nil {
		wish = served(s.name, cert)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s.working = false
	if k.subjects[s.name] != s {
		return // nobody wants it any more
	}
	s.read = true
	if s.dormant && wish == nil {
		return // until a client comes
	}
	s.failure, s.dormant = came, false
	if s.again {
		s.failure, s.again, due = failure{forced: true}, false, time.Now()
	}
	if wish != nil {
		s.known = &issued{issuer: cert.Leaf.Issuer.CommonName, expires: cert.Leaf.NotAfter}
		if _, err := k.edge.SetCertificates(map[string]*platform.EdgeCertificate{issuedPrefix + s.name: wish}); err != nil {
			k.log.Warn("certificate did not reach the edge", "domain", s.name, "err", err)
			due = time.Now().Add(k.opt.Check)
		}
	}
	k.plan(s, due)
}

// served is a certificate as routers get it; nil when its key has no form.
func served(name string, cert *certmagic.Certificate) *platform.EdgeCertificate {
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return nil
	}
	return &platform.EdgeCertificate{
		Hosts: []string{name}, Rank: platform.RankAutomatic,
		Certificate: chainText(cert.Certificate.Certificate), Key: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
	}
}

func chainText(chain [][]byte) string {
	var text strings.Builder
	for _, der := range chain {
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der}) // a Builder never fails
	}
	return text.String()
}

// clean drops what is of no use any more from the store, once a day.
func (k *Keeper) clean() {
	day := time.NewTicker(24 * time.Hour)
	defer day.Stop()
	for {
		select {
		case <-k.life.Done():
			return
		case <-day.C:
		}
		err := certmagic.CleanStorage(k.life, k.storage, certmagic.CleanStorageOptions{
			Logger: zapOf(k.log), OCSPStaples: true, ExpiredCerts: true, ExpiredCertGracePeriod: 14 * 24 * time.Hour, Interval: 12 * time.Hour,
		})
		if err != nil && k.life.Err() == nil {
			k.log.Warn("old certificates stayed in the store", "err", err)
		}
	}
}
