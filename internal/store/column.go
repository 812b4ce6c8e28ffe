package store

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// micros is a time as a column holds it: microseconds since 1970 UTC, 0 for never.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// instant scans what micros wrote.
type instant struct{ time *time.Time }

func at(t *time.Time) instant { return instant{t} }

// Scan implements sql.Scanner.
func (i instant) Scan(value any) error {
	n, ok := value.(int64)
	if !ok {
		return fmt.Errorf("a time is stored as %T", value)
	}
	*i.time = time.Time{}
	if n != 0 {
		*i.time = time.UnixMicro(n).UTC()
	}
	return nil
}

// orNull is a reference as a column holds it: NULL for none.
func orNull(text string) sql.NullString {
	return sql.NullString{String: text, Valid: text != ""}
}

// asList is a list as a column holds it.
func asList[V string | int](list []V) string {
	if list == nil {
		return "[]"
	}
	text, err := json.Marshal(list)
	if err != nil {
		panic(fmt.Sprintf("store: a list has no JSON form: %v", err)) // impossible
	}
	return string(text)
}

// asJSON is a map as a column holds it; nil is an empty map.
func asJSON[M ~map[string]V, V any](m M) string {
	if m == nil {
		return "{}"
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("store: a %T has no JSON form: %v", m, err)) // impossible: maps of plain values
	}
	return string(text)
}

// document scans JSON.
type document struct{ into any }

func fromJSON(into any) document { return document{into} }

// Scan implements sql.Scanner.
func (d document) Scan(value any) error {
	switch text := value.(type) {
	case string:
		return json.Unmarshal([]byte(text), d.into)
	case []byte:
		return json.Unmarshal(text, d.into)
	}
	return fmt.Errorf("JSON is stored as %T", value)
}
