// Package staple asks the OCSP responders that certificates name what they say
// of them (RFC 6960), and hands their word on for routers to staple. It is told
// of every certificate at the edge, uploaded or got by itself, asks again in
// time, and goes on with the last word while a responder is down or lies.
package staple

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Options say how responders are asked.
type Options struct {
	// Set takes over the word on a certificate, unless it is another chain's by
	// now.
	Set func(name, chain string, word []byte) error
	// Private has responders asked that are at loopback or private addresses, as
	// those of an authority of one's own are. Who may upload certificates may then
	// have this machine send requests there.
	Private bool
	// Timeout is how long a responder may take. Default 10 s.
	Timeout time.Duration
	// FirstPause is the first wait after a failure; it doubles up to an hour.
	// Default a minute.
	FirstPause time.Duration
}

// Stapler follows the certificates that it is told of. Close ends it.
type Stapler struct {
	log    *slog.Logger
	opt    Options
	client *http.Client
	life   context.Context
	end    context.CancelFunc
	work   sync.WaitGroup
	kick   chan struct{} // holds a token when there may be something due

	mu       sync.Mutex
	subjects map[string]*subject // those that name a responder
}

// subject is a certificate that names a responder.
type subject struct {
	name, chain  string
	leaf, issuer *x509.Certificate
	due          time.Time
	asking       bool
	failures     int
}

// maxAsking are asked at a time: one that is slow holds up few.
const maxAsking = 8

// New makes a Stapler, which runs at once.
func New(log *slog.Logger, opt Options) *Stapler {
	if opt.Timeout <= 0 {
		opt.Timeout = 10 * time.Second
	}
	if opt.FirstPause <= 0 {
		opt.FirstPause = time.Minute
	}
	s := &Stapler{log: log, opt: opt, client: newClient(opt), kick: make(chan struct{}, 1), subjects: map[string]*subject{}}
	s.life, s.end = context.WithCancel(context.Background())
	s.work.Go(s.run)
	return s
}

// Close ends it, and what it asks.
func (s *Stapler) Close() {
	s.end()
	s.work.Wait()
}

// Told takes note of a certificate, its chain in PEM and the word that it has;
// an empty chain: it is gone. It does not wait.
func (s *Stapler) Told(name, chain string, word []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.subjects[name]; old != nil && old.chain == chain {
		return
	}
	delete(s.subjects, name)
	leaf, issuer := parse(chain)
	switch {
	case leaf == nil || len(leaf.OCSPServer) == 0:
		return
	case issuer == nil:
		s.log.Warn("certificate has no staple: its chain does not hold who signed it", "certificate", name, "must_staple", mustStaple(leaf))
		return
	}
	fresh := &subject{name: name, chain: chain, leaf: leaf, issuer: issuer, due: time.Now()}
	if w, err := read(word, leaf, issuer, time.Now()); err == nil {
		fresh.due = w.refresh(time.Now())
	}
	s.subjects[name] = fresh
	s.ring()
}

func (s *Stapler) ring() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// parse is the certificate of a chain that clients look at, and who signed it;
// nil where there is none.
func parse(chain string) (leaf, issuer *x509.Certificate) {
	for rest := []byte(chain); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, nil
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		switch {
		case err != nil:
			return nil, nil
		case leaf == nil:
			leaf = cert
		case leaf.CheckSignatureFrom(cert) == nil:
			return leaf, cert
		}
	}
}

// run has what is due asked for until Close.
func (s *Stapler) run() {
	slots := make(chan struct{}, maxAsking)
	for {
		one, pause := s.next(time.Now())
		if one == nil {
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-s.kick:
			case <-s.life.Done():
			}
			timer.Stop()
			if s.life.Err() != nil {
				return
			}
			continue
		}
		select {
		case slots <- struct{}{}:
		case <-s.life.Done():
			return
		}
		s.work.Go(func() {
			defer func() { <-slots }()
			s.ask(one)
		})
	}
}

// next is one that is due, and is then asked for; else how long there is none.
func (s *Stapler) next(now time.Time) (*subject, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pause := time.Hour
	for _, one := range s.subjects {
		if one.asking {
			continue
		}
		if wait := one.due.Sub(now); wait > 0 {
			pause = min(pause, wait)
			continue
		}
		one.asking = true
		return one, 0
	}
	return nil, pause
}

// ask asks for one, and plans when next.
func (s *Stapler) ask(one *subject) {
	text, word, err := s.fetch(one)
	if err == nil {
		err = s.opt.Set(one.name, one.chain, text)
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	one.asking = false
	if err == nil {
		one.failures, one.due = 0, word.refresh(now)
		s.ring()
		return
	}
	if s.life.Err() != nil {
		return
	}
	pause := min(s.opt.FirstPause<<min(one.failures, 10), time.Hour)
	one.failures, one.due = one.failures+1, now.Add(pause)
	s.ring()
	s.log.Warn("OCSP responder was of no use", "certificate", one.name, "err", err, "must_staple", mustStaple(one.leaf), "next", one.due)
}
