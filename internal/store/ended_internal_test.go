package store

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/slipway-paas/slipway/internal/secret"
)

func TestAStatementThatItsDeadlineCutsOffSaysSo(t *testing.T) {
	s, err := Open(t.Context(), slog.New(slog.DiscardHandler), filepath.Join(t.TempDir(), "slipway.db"), secret.New())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		err := s.Read(ctx, func(tx *Tx) error {
			var n int64
			return tx.row("WITH RECURSIVE endless(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM endless) SELECT count(*) FROM endless").Scan(&n)
		})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the error is %v, want the deadline's own", err)
		}
	}
}
