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
	turns := make(chan struct{}, maxTurns)
	for {
		s, pause := k.next()
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
		select {
		case turns <- struct{}{}:
		case <-k.life.Done():
			return
		}
		k.work.Go(func() {
			defer func() { <-turns }()
			k.turn(s)
		})
	}
}

// next is a subject that is due, and is then worked on; else how long there is
// none.
func (k *Keeper) next() (*subject, time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s, pause := k.agenda.next(time.Now())
	if s != nil {
		s.working = true
	}
	return s, max(pause, time.Millisecond)
}

// turn brings one subject's certificate to where it should be.
func (k *Keeper) turn(s *subject) {
	ctx, cancel := context.WithTimeout(k.life, turnTime)
	defer cancel()
	k.mu.Lock()
	dormant, before := s.dormant, s.failure
	k.mu.Unlock()
	var cert *certmagic.Certificate
	var err error
	switch {
	case dormant && !k.storage.Exists(ctx, certmagic.StorageKeys.CertsSitePrefix(k.magic.Issuers[0].IssuerKey(), s.name)):
		k.rest(s) // until a client comes
		return
	case before.Attempts == 0 && !before.forced:
		if before = k.recall(ctx, s.name); before.waits() {
			cert = k.stored(ctx, s.name)
			k.put(s, cert, before, before.Next)
			return
		}
	}
	cert, err = k.bring(ctx, s.name)
	if k.life.Err() != nil {
		return
	}
	after := failure{}
	due := k.look(cert)
	if err != nil {
		after = before.again(err, k.opt)
		due = after.Next
		k.log.Warn("certificate was not got", "domain", s.name, "err", after.Problem, "attempts", after.Attempts, "next", after.Next)
	}
	k.remember(ctx, s.name, before, after)
	k.put(s, cert, after, due)
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

// look is when a certificate is looked at again.
func (k *Keeper) look(cert *certmagic.Certificate) time.Time {
	if cert == nil {
		return time.Now().Add(k.opt.Check)
	}
	pause := min(max(cert.Lifetime()/200, k.opt.Check), 6*time.Hour)
	return time.Now().Add(pause - rand.N(pause/4))
}

// rest ends the turn of a subject that nobody asked for yet.
func (k *Keeper) rest(s *subject) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s.working = false
	if k.subjects[s.name] == s && s.again {
		s.again = false
		k.agenda.plan(s, time.Now())
	}
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
	k.agenda.plan(s, due)
	k.hurry()
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
