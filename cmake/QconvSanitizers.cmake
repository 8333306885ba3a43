# QCONV_SANITIZE=address,undefined (or thread): applies to every target configured after this point.
if(QCONV_SANITIZE)
  add_compile_options(-fsanitize=${QCONV_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${QCONV_SANITIZE})
endif()
# The arithmetic is normative: no compiler may fuse a multiply and an add that the specification rounds apart.
add_compile_options(-ffp-contract=off)
