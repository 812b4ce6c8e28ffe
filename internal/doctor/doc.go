// Package doctor says what is wrong here, and the cure: it is handed where
// things are on this machine, looks at each without changing any, and hands
// on findings.
package doctor
