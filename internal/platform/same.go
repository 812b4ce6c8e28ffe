package platform

import (
	"reflect"
	"time"
)

// Same reports whether two values of plain data say the same: as they would in
// JSON that leaves out what is empty, so that what was kept and read back is
// the same as what was kept. Values of different types are not the same.
func Same[T any](a, b T) bool { return same(reflect.ValueOf(&a).Elem(), reflect.ValueOf(&b).Elem()) }

var timeType = reflect.TypeFor[time.Time]()

func same(a, b reflect.Value) bool {
	if a.Type() != b.Type() {
		return false
	}
	switch a.Kind() { //nolint:exhaustive // the rest compares by ==
	case reflect.Pointer, reflect.Interface:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return same(a.Elem(), b.Elem())
	case reflect.Slice, reflect.Array:
		return sameItems(a, b)
	case reflect.Map:
		return sameEntries(a, b)
	case reflect.Struct:
		return sameFields(a, b)
	}
	return a.Equal(b)
}

func sameItems(a, b reflect.Value) bool {
	if a.Len() != b.Len() {
		return false
	}
	for i := range a.Len() {
		if !same(a.Index(i), b.Index(i)) {
			return false
		}
	}
	return true
}

func sameEntries(a, b reflect.Value) bool {
	if a.Len() != b.Len() {
		return false
	}
	if a.Len() == 0 || a.UnsafePointer() == b.UnsafePointer() {
		return true
	}
	for entries := a.MapRange(); entries.Next(); {
		other := b.MapIndex(entries.Key())
		if !other.IsValid() || !same(entries.Value(), other) {
			return false
		}
	}
	return true
}

func sameFields(a, b reflect.Value) bool {
	if a.Type() == timeType {
		return a.Interface().(time.Time).Equal(b.Interface().(time.Time))
	}
	for i := range a.NumField() {
		if !same(a.Field(i), b.Field(i)) {
			return false
		}
	}
	return true
}
