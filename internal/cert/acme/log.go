package acme

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapOf is a logger for certmagic. What it tells of every step is for who debugs
// it; what came of a name the Keeper tells itself.
func zapOf(log *slog.Logger) *zap.Logger { return zap.New(&core{handler: quieter{log.Handler()}}) }

// core hands zap's entries to slog.
type core struct {
	handler slog.Handler
	fields  []zapcore.Field
}

func (c *core) Enabled(level zapcore.Level) bool {
	return c.handler.Enabled(context.Background(), slogLevel(level))
}

func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{c.handler, append(append([]zapcore.Field{}, c.fields...), fields...)}
}

func (c *core) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

func (c *core) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	object := zapcore.NewMapObjectEncoder()
	for _, f := range append(append([]zapcore.Field{}, c.fields...), fields...) {
		f.AddTo(object)
	}
	record := slog.NewRecord(entry.Time, slogLevel(entry.Level), entry.Message, 0)
	for name, value := range object.Fields {
		record.Add(name, value)
	}
	return c.handler.Handle(context.Background(), record)
}

func (c *core) Sync() error { return nil }

func slogLevel(level zapcore.Level) slog.Level {
	switch {
	case level >= zapcore.ErrorLevel:
		return slog.LevelError
	case level >= zapcore.WarnLevel:
		return slog.LevelWarn
	case level >= zapcore.InfoLevel:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

// quieter takes everything for who debugs.
type quieter struct{ slog.Handler }

func (q quieter) Enabled(ctx context.Context, _ slog.Level) bool {
	return q.Handler.Enabled(ctx, slog.LevelDebug)
}

func (q quieter) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return q.Handler.Handle(ctx, r)
}

func (q quieter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quieter{q.Handler.WithAttrs(attrs)}
}
func (q quieter) WithGroup(name string) slog.Handler { return quieter{q.Handler.WithGroup(name)} }
