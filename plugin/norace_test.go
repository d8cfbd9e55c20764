//go:build !race

package llmtoken

// raceDetector says that the tests run under the race detector.
const raceDetector = false
