package acme

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"github.com/slipway-paas/slipway/internal/platform"
	"github.com/slipway-paas/slipway/internal/store"
)

// board is where the control planes on one store show each other the proofs they
// began, so that the routers of all answer an authority: it may come to any.
//
//	proofs/PLANE/TYPE/TOKEN         an acme.Challenge, from Present to CleanUp
//	proofs/PLANE/TYPE/TOKEN/OTHER   OTHER's routers show it; or what hindered them
//
// Who is there holds a lock of its name under plane/, a lease like all: a plane
// that died is waited for until that is over, and what it began goes with it.
type board struct {
	log     *slog.Logger
	storage *storage
	edge    Edge
	plane   string
	look    time.Duration // between two looks

	there bool // between open and close

	mu    sync.Mutex
	shown map[string]bool // proofs of other planes, by their place in the store
}

const (
	planePrefix  = "plane/"
	proofsPrefix = "proofs/"
	// lookPause is the time in which a plane hears of another's proof.
	lookPause = time.Second
	// ackPause is the pause between two looks for what the others said of one.
	ackPause = 100 * time.Millisecond
	// tidyTime bounds what is written when the context of a proof has ended.
	tidyTime = 10 * time.Second
)

func newBoard(log *slog.Logger, storage *storage, edge Edge, plane string) *board {
	return &board{log: log, storage: storage, edge: edge, plane: plane, look: lookPause, shown: map[string]bool{}}
}

// open says that this plane is there, and takes away what it began in an
// earlier life.
func (b *board) open(ctx context.Context) error {
	if err := b.storage.Delete(ctx, proofsPrefix+b.plane); err != nil {
		return err
	}
	if err := b.storage.Lock(ctx, planePrefix+b.plane); err != nil {
		return err
	}
	b.there = true
	return nil
}

// close says that it is gone.
func (b *board) close() {
	if !b.there {
		return
	}
	if err := b.storage.Unlock(context.Background(), planePrefix+b.plane); err != nil {
		b.log.Warn("other control planes were not told that this one ends", "err", err)
	}
}

func (b *board) place(c acme.Challenge) string {
	return proofsPrefix + b.plane + "/" + c.Type + "/" + c.Token
}

// post has the others show a proof, and take have them show it no more, also
// when ctx has ended.
func (b *board) post(ctx context.Context, c acme.Challenge) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return b.storage.Store(ctx, b.place(c), text)
}

func (b *board) take(ctx context.Context, c acme.Challenge) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
	defer cancel()
	return b.storage.Delete(ctx, b.place(c))
}

// await returns once every other plane has answered, or ctx has ended: one that
// cannot be reached, or whose routers cannot, hinders no certificate, for those
// may not be asked.
func (b *board) await(ctx context.Context, c acme.Challenge) {
	for {
		silent, err := b.silent(ctx, b.place(c))
		if err == nil && len(silent) == 0 {
			return
		}
		select {
		case <-time.After(ackPause):
		case <-ctx.Done():
			b.log.Warn("other control planes did not say that their routers show a proof", "domain", c.Identifier.Value, "planes", silent, "err", err)
			return
		}
	}
}

// silent are the other planes that have not answered.
func (b *board) silent(ctx context.Context, place string) (silent []string, err error) {
	err = b.storage.db.Read(ctx, func(tx *store.Tx) error {
		others, err := b.others(tx)
		if err != nil || len(others) == 0 {
			silent = nil
			return err
		}
		answers, err := tx.ACMEFiles(place)
		for _, answer := range answers {
			delete(others, strings.TrimPrefix(answer.Name, place+"/"))
		}
		silent = slices.Sorted(maps.Keys(others))
		return err
	})
	return silent, err
}

// others are the planes that are there besides this one.
func (b *board) others(tx *store.Tx) (map[string]bool, error) {
	locks, err := tx.ACMELocks(strings.TrimSuffix(planePrefix, "/"))
	others := map[string]bool{}
	for _, lock := range locks {
		if plane := strings.TrimPrefix(lock, planePrefix); plane != b.plane {
			others[plane] = true
		}
	}
	return others, err
}

// follow shows what the others post until ctx ends. Those are answered by work
// that it hands to the group.
func (b *board) follow(ctx context.Context, work *sync.WaitGroup) {
	tick := time.NewTicker(b.look)
	defer tick.Stop()
	for {
		if err := b.show(ctx, work); err != nil && ctx.Err() == nil {
			b.log.Warn("proofs of other control planes were not seen", "err", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// show brings the edge to what others have posted.
func (b *board) show(ctx context.Context, work *sync.WaitGroup) error {
	posted, lost, err := b.read(ctx)
	if err != nil {
		return err
	}
	if wish, fresh := b.changes(posted); len(wish) > 0 {
		version, err := b.edge.SetCertificates(wish)
		if err != nil {
			return err
		}
		if len(fresh) > 0 {
			work.Go(func() { b.answer(ctx, fresh, version) })
		}
	}
	b.note(posted)
	for _, plane := range lost {
		err = errors.Join(err, b.storage.Delete(ctx, proofsPrefix+plane))
	}
	return err
}

// read returns what others that are there have posted, by place; one that is
// shown already without its value. lost are planes that are gone and left
// proofs. While this one is alone, and shows nothing, it is one small query.
func (b *board) read(ctx context.Context) (posted map[string][]byte, lost []string, err error) {
	b.mu.Lock()
	shown := maps.Clone(b.shown)
	b.mu.Unlock()
	err = b.storage.db.Read(ctx, func(tx *store.Tx) error {
		posted, lost = map[string][]byte{}, nil
		others, err := b.others(tx)
		if err != nil || len(others) == 0 && len(shown) == 0 {
			return err
		}
		files, err := tx.ACMEFiles(strings.TrimSuffix(proofsPrefix, "/"))
		for _, file := range files {
			plane, rest, _ := strings.Cut(strings.TrimPrefix(file.Name, proofsPrefix), "/")
			switch {
			case plane == b.plane || strings.Count(rest, "/") != 1: // an answer has one more
			case !others[plane]:
				lost = append(lost, plane)
			case shown[file.Name]:
				posted[file.Name] = nil
			default:
				if posted[file.Name], err = tx.ACMEFile(file.Name); err != nil {
					return err
				}
			}
		}
		return err
	})
	return posted, slices.Compact(lost), err
}

// changes is what the edge is told for it to show what is posted, and the places
// of what is new.
func (b *board) changes(posted map[string][]byte) (wish map[string]*platform.EdgeCertificate, fresh []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wish = map[string]*platform.EdgeCertificate{}
	for place := range b.shown {
		if _, still := posted[place]; !still {
			wish[edgeName(place)] = nil
		}
	}
	for place, text := range posted {
		if b.shown[place] {
			continue
		}
		proof, err := readProof(text)
		if err != nil {
			b.log.Warn("another control plane's proof cannot be read", "proof", place, "err", err)
			continue
		}
		wish[edgeName(place)] = &proof
		fresh = append(fresh, place)
	}
	return wish, fresh
}

// note remembers what is shown.
func (b *board) note(posted map[string][]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.shown)
	for place := range posted {
		b.shown[place] = true
	}
}

// answer tells who posted, once the routers here show it, or cannot.
func (b *board) answer(ctx context.Context, places []string, version int64) {
	acking, cancel := context.WithTimeout(ctx, proofTime)
	defer cancel()
	said := ""
	if err := b.edge.Acked(acking, version); err != nil {
		said = err.Error()
		b.log.Warn("routers do not show another control plane's proof", "err", err)
	}
	if ctx.Err() != nil {
		return
	}
	err := b.storage.db.Write(ctx, func(tx *store.Tx) error {
		for _, place := range places {
			if _, err := tx.ACMEFile(place); errors.Is(err, platform.ErrNotFound) {
				continue // it was taken away meanwhile
			} else if err != nil {
				return err
			}
			if err := tx.PutACMEFile(place+"/"+b.plane, []byte(said)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		b.log.Warn("another control plane was not told that its proof is shown", "err", err)
	}
}

// edgeName is what a proof is known by at the edge.
func edgeName(place string) string { return proofPrefix + strings.TrimPrefix(place, proofsPrefix) }

// readProof is a stored challenge as routers show it.
func readProof(text []byte) (platform.EdgeCertificate, error) {
	var c acme.Challenge
	if err := json.Unmarshal(text, &c); err != nil {
		return platform.EdgeCertificate{}, err
	}
	switch c.Type {
	case acme.ChallengeTypeHTTP01:
		return httpProof(c)
	case acme.ChallengeTypeTLSALPN01:
		return tlsProof(c)
	}
	return platform.EdgeCertificate{}, fmt.Errorf("no router shows a proof by %q", c.Type)
}
