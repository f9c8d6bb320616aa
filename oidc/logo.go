package oidc

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // a logo may come as JPEG
	"image/png"
)

const (
	logoSide   = 256     // pixels of a stored logo, at most
	logoBytes  = 1 << 20 // of a logo that is handed in
	logoPixels = 4096    // a side of one that is handed in
)

// redraw decodes a PNG or JPEG and draws it anew, at most 256 pixels high and
// wide: what is stored and shown was written by us, down to the last byte.
func redraw(raw []byte) ([]byte, error) {
	if len(raw) > logoBytes {
		return nil, fmt.Errorf("larger than %d bytes", logoBytes)
	}
	conf, _, err := image.DecodeConfig(bytes.NewReader(raw))
	if err != nil {
		return nil, errors.New("neither PNG nor JPEG")
	}
	if conf.Width < 1 || conf.Height < 1 || conf.Width > logoPixels || conf.Height > logoPixels {
		return nil, fmt.Errorf("%d × %d pixels, at most %d × %d are accepted", conf.Width, conf.Height, logoPixels, logoPixels)
	}
	src, _, err := image.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("broken: %w", err)
	}
	var out bytes.Buffer
	if err := png.Encode(&out, shrink(src)); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// shrink averages src down to at most logoSide × logoSide; a smaller one keeps
// its size.
func shrink(src image.Image) image.Image {
	b := src.Bounds()
	w, h := b.Dx(), b.Dy()
	if long := max(w, h); long > logoSide {
		w, h = max(1, w*logoSide/long), max(1, h*logoSide/long)
	}
	dst := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		y0, y1 := b.Min.Y+y*b.Dy()/h, b.Min.Y+max((y+1)*b.Dy()/h, y*b.Dy()/h+1)
		for x := range w {
			x0, x1 := b.Min.X+x*b.Dx()/w, b.Min.X+max((x+1)*b.Dx()/w, x*b.Dx()/w+1)
			dst.Set(x, y, average(src, x0, y0, x1, y1))
		}
	}
	return dst
}

// average is the mean colour of a rectangle, with premultiplied alpha.
func average(src image.Image, x0, y0, x1, y1 int) color.Color {
	var r, g, b, a, n uint64
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			pr, pg, pb, pa := src.At(x, y).RGBA()
			r, g, b, a, n = r+uint64(pr), g+uint64(pg), b+uint64(pb), a+uint64(pa), n+1
		}
	}
	return color.RGBA64{R: uint16(r / n), G: uint16(g / n), B: uint16(b / n), A: uint16(a / n)}
}
