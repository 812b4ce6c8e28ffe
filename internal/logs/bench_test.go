package logs_test

import (
	"testing"

	"github.com/slipway-paas/slipway/internal/logs"
)

func BenchmarkAppend(b *testing.B) {
	l, err := logs.Open(quiet(), logs.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	l.Tail("blog", logs.Filter{})
	b.ReportAllocs()
	for b.Loop() {
		l.Append("blog", line(`127.0.0.1 - - [21/Nov/2026:04:54:17 +0000] "GET / HTTP/1.1" 200 1234`))
	}
}
