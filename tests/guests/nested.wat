;; Components in components, ten of each in the next: a billion instances in 700 bytes.
(component
  (component $c9
    (component $c8
      (component $c7
        (component $c6
          (component $c5
            (component $c4
              (component $c3
                (component $c2
                  (component $c1
                  )
                  (instance (instantiate $c1)) (instance (instantiate $c1)) (instance (instantiate $c1)) (instance (instantiate $c1)) (instance (instantiate $c1))
                  (instance (instantiate $c1)) (instance (instantiate $c1)) (instance (instantiate $c1)) (instance (instantiate $c1)) (instance (instantiate $c1))
                )
                (instance (instantiate $c2)) (instance (instantiate $c2)) (instance (instantiate $c2)) (instance (instantiate $c2)) (instance (instantiate $c2))
                (instance (instantiate $c2)) (instance (instantiate $c2)) (instance (instantiate $c2)) (instance (instantiate $c2)) (instance (instantiate $c2))
              )
              (instance (instantiate $c3)) (instance (instantiate $c3)) (instance (instantiate $c3)) (instance (instantiate $c3)) (instance (instantiate $c3))
              (instance (instantiate $c3)) (instance (instantiate $c3)) (instance (instantiate $c3)) (instance (instantiate $c3)) (instance (instantiate $c3))
            )
            (instance (instantiate $c4)) (instance (instantiate $c4)) (instance (instantiate $c4)) (instance (instantiate $c4)) (instance (instantiate $c4))
            (instance (instantiate $c4)) (instance (instantiate $c4)) (instance (instantiate $c4)) (instance (instantiate $c4)) (instance (instantiate $c4))
          )
          (instance (instantiate $c5)) (instance (instantiate $c5)) (instance (instantiate $c5)) (instance (instantiate $c5)) (instance (instantiate $c5))
          (instance (instantiate $c5)) (instance (instantiate $c5)) (instance (instantiate $c5)) (instance (instantiate $c5)) (instance (instantiate $c5))
        )
        (instance (instantiate $c6)) (instance (instantiate $c6)) (instance (instantiate $c6)) (instance (instantiate $c6)) (instance (instantiate $c6))
        (instance (instantiate $c6)) (instance (instantiate $c6)) (instance (instantiate $c6)) (instance (instantiate $c6)) (instance (instantiate $c6))
      )
      (instance (instantiate $c7)) (instance (instantiate $c7)) (instance (instantiate $c7)) (instance (instantiate $c7)) (instance (instantiate $c7))
      (instance (instantiate $c7)) (instance (instantiate $c7)) (instance (instantiate $c7)) (instance (instantiate $c7)) (instance (instantiate $c7))
    )
    (instance (instantiate $c8)) (instance (instantiate $c8)) (instance (instantiate $c8)) (instance (instantiate $c8)) (instance (instantiate $c8))
    (instance (instantiate $c8)) (instance (instantiate $c8)) (instance (instantiate $c8)) (instance (instantiate $c8)) (instance (instantiate $c8))
  )
  (instance (instantiate $c9)) (instance (instantiate $c9)) (instance (instantiate $c9)) (instance (instantiate $c9)) (instance (instantiate $c9))
  (instance (instantiate $c9)) (instance (instantiate $c9)) (instance (instantiate $c9)) (instance (instantiate $c9)) (instance (instantiate $c9)))
