package store

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/secret"
)

func TestWhatADeadlineCutsOffFailsWithTheDeadline(t *testing.T) {
	s, err := Open(t.Context(), slog.New(slog.DiscardHandler), filepath.Join(t.TempDir(), "slipway.db"), secret.New())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	cut := 0
	for range 3000 {
		ctx, cancel := context.WithTimeout(t.Context(), rand.N(300*time.Microsecond))
		err := s.Read(ctx, func(tx *Tx) error {
			for range 20 {
				if _, err := tx.UnfinishedReleases("a"); err != nil {
					return err
				}
			}
			return nil
		})
		cancel()
		if err != nil {
			cut++
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the error is %v, want the deadline's own", err)
		}
	}
	if cut == 0 {
		t.Fatal("no read was cut off")
	}
}
